"""Captions and captioned digits: words, grammar, held-out combinations, and the images."""

import pytest
import torch
from helpers import CPU, split

from ganbench.data import DATA
from ganbench.data.base import IMAGE
from ganbench.data.captioned_digits import (
    DARKEST,
    LIGHTEST,
    PIXELS,
    SCENES,
    SIDE,
    Scene,
)
from ganbench.data.captions import Captions, Grammar, UnknownCaption, add_log_likelihoods
from ganbench.data.fashion_mnist import DEBIAN_PACKAGE_FOLDER
from ganbench.data.image_ops import area_weights, resize_by_area
from ganbench.evaluation.evaluator import Evaluator

CAPTIONS = Captions(("a red ball", "a ball", "a red cube"))


def test_tokens_number_the_words_in_order():
    assert CAPTIONS.words == ("a", "ball", "cube", "red")
    assert CAPTIONS.tokens.tolist() == [[1, 4, 2], [1, 2, 0], [1, 4, 3]]


def test_captions_are_found_in_any_spacing_and_case():
    assert CAPTIONS.find("  A red  Cube ") == 2
    with pytest.raises(UnknownCaption, match="the closest are: a red ball"):
        CAPTIONS.find("a red bal")


def test_log_likelihoods_add_the_values_of_a_sentence():
    grammar = Grammar(
        {"color": ("red", "blue"), "shape": ("ball", "cube", "cone")},
        torch.tensor([[0, 0], [1, 2]]),
        torch.tensor([False, True]),
    )
    colors, shapes = torch.tensor([[0.2, 0.8]]), torch.tensor([[0.5, 0.4, 0.1]])
    result = add_log_likelihoods([colors.log(), shapes.log()], grammar).exp()
    torch.testing.assert_close(result, torch.tensor([[0.2 * 0.5, 0.8 * 0.1]]))
    assert grammar.sizes == (2, 3)


def test_sentences_say_what_their_scenes_are():
    data = DATA.make("captioned_digits")
    sentences = data.captions.sentences
    assert len(set(sentences)) == len(sentences) == data.classes == 160 + 1200
    assert Scene("3", "large", "light", "left of", "7", "small").sentence() in sentences
    assert data.captions.find("a large 3 left of a small 7") == SCENES.index(
        Scene("3", "large", "light", "left of", "7", "small")
    )
    for scene, sentence in zip(SCENES, sentences, strict=True):
        words = sentence.split()
        assert scene.digit in words
        assert ("dark" in words) is (scene.polarity == "dark")
        assert set(scene.place.split()) <= set(words)
        assert ("7" in words) is ("7" in (scene.digit, scene.second_digit))


def test_training_never_shows_unseen_combinations():
    grammar, data = DATA.make("captioned_digits").captions.grammar, split("captioned_digits")
    seen, held_out = (
        grammar.is_unseen[side[IMAGE].labels].double().mean()
        for side in (data.train, data.held_out)
    )
    assert seen == 0
    assert held_out == pytest.approx(1 / 3, abs=0.03)
    # Each digit, and each value of each attribute, is seen in other combinations.
    shown = grammar.stated[data.train[IMAGE].labels]
    for column, size in zip(shown.unbind(1), grammar.sizes, strict=True):
        assert column.unique().tolist() == list(range(size))


def test_unseen_pairs_of_digits_are_unseen_in_every_form():
    digits = {(s.digit, s.second_digit, s.is_unseen()) for s in SCENES if s.second_digit != "none"}
    assert len(digits) == 100
    assert sum(unseen for *_, unseen in digits) == 20
    sides = {(s.digit, s.place, s.is_unseen()) for s in SCENES if s.second_digit == "none"}
    assert len(sides) == 40
    assert sum(unseen for *_, unseen in sides) == 8


def test_digits_are_drawn_where_the_sentence_says():
    examples = split("captioned_digits").held_out[IMAGE]
    ink = examples.images[:, 0].double()
    for image, label in zip(ink[:300], examples.labels[:300].tolist(), strict=True):
        scene = SCENES[label]
        image = (255 - image if scene.polarity == "dark" else image) - DARKEST
        assert 0 <= image.min() <= image.max() <= LIGHTEST - DARKEST
        rows, columns = (image.sum(axis) / image.sum() for axis in (1, 0))
        place = torch.arange(SIDE, dtype=torch.float64)
        down, right = (rows * place).sum(), (columns * place).sum()
        middle = (SIDE - 1) / 2
        if scene.place in ("left", "right"):
            assert bool(right < middle) is (scene.place == "left")
        if scene.place in ("top", "bottom"):
            assert bool(down < middle) is (scene.place == "top")
        size = PIXELS[scene.size] if scene.second_digit == "none" else SIDE
        assert (rows > 0).sum() <= size
        assert (columns > 0).sum() <= size


def test_resizing_keeps_the_mean_and_constants():
    constant = torch.full((1, 1, 8, 8), 77, dtype=torch.uint8)
    for side in PIXELS.values():
        assert area_weights(8, side).sum(1).tolist() == [8] * side
        assert (resize_by_area(constant, side) == 77).all()
    step = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    step[..., 4:] = 200
    assert resize_by_area(step, 4)[0, 0, 0].tolist() == [0, 0, 200, 200]
    # At 6 pixels each is 4/3 old ones; none is across the middle.
    assert resize_by_area(step, 6)[0, 0, 0].tolist() == [0, 0, 0, 200, 200, 200]


needs_garments = pytest.mark.skipif(
    not DEBIAN_PACKAGE_FOLDER.is_dir(), reason="Debian's package dataset-fashion-mnist is missing"
)


def test_garments_have_sentences_and_attributes_of_their_own():
    garments, digits = (
        DATA.make(f"captioned_digits(of='{of}')") for of in ("fashion_mnist", "digits")
    )
    number = digits.captions.find("a large 9 left of a small 8")
    assert garments.captions.sentences[number] == "a large boot left of a small bag"
    assert garments.captions.grammar.attributes[::4] == ("garment", "second_garment")
    assert garments.captions.grammar.values["second_garment"][:2] == ("none", "tshirt")
    assert torch.equal(garments.captions.grammar.stated, digits.captions.grammar.stated)
    assert DATA.identity("captioned_digits(of='digits')") == DATA.identity("captioned_digits")


@needs_garments
def test_garments_are_drawn_from_their_own_side():
    data = split("captioned_digits(of='fashion_mnist')")
    digits = split("captioned_digits")
    for side in ("train", "held_out"):
        garment, digit = getattr(data, side)[IMAGE], getattr(digits, side)[IMAGE]
        assert garment.images.shape == digit.images.shape
        assert torch.equal(garment.labels, digit.labels)  # of the same random stream


@needs_garments
def test_metrics_of_digits_explain_that_they_do_not_read_garments():
    name = "captioned_digits(of='fashion_mnist')"
    plain = Evaluator(name, CPU).measure_floor(("caption_accuracy", "r_precision"))
    assert set(plain.values()) == {"needs class logits, but this extractor returns none"}
    digits = "ganbench(extractor='attribute_classifier(of=\\'captioned_digits\\')')"
    other = Evaluator(name, CPU, digits).measure_floor(("caption_accuracy", "r_precision"))
    assert all("this extractor predicts other classes" in reason for reason in other.values())
    clips = Evaluator("moving_digits(of='fashion_mnist')", CPU)
    readings = clips.measure_floor(
        ("modes", "identity_constancy", "law_error", "direction_accuracy")
    )
    assert readings["modes"] == "needs class logits, but this extractor returns none"
    assert "needs a classifier of single frames" in readings["identity_constancy"]
    assert readings["law_error"].value < 0.2
    assert readings["direction_accuracy"].value == 1
