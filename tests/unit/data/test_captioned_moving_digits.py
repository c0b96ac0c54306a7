"""Captioned moving digits: sentences say what clips show, and networks read them."""

import pytest
import torch
from helpers import CPU, split, steps, trainer

from ganbench.data import DATA
from ganbench.data.base import IMAGE
from ganbench.data.bouncing import DIRECTIONS
from ganbench.data.captioned_moving_digits import STATED_MOTIONS
from ganbench.data.modality import CLIPS, modality_of
from ganbench.evaluation.evaluator import Evaluator
from ganbench.evaluation.extractors import EXTRACTORS
from ganbench.evaluation.metrics.motion import centres_of_brightness, nearest_paths
from ganbench.image_grid import draw_captioned
from ganbench.registry import SpecError

NAME = "captioned_moving_digits"


def test_sentences_name_digit_direction_and_speed():
    captions = DATA.make(NAME).captions
    number = captions.find("Digit 5 is moving up slowly.")
    assert STATED_MOTIONS[number].tolist() == [5, DIRECTIONS.index("up"), 0]
    assert len(set(captions.sentences)) == 80
    assert len(captions.words) == 3 + 10 + 4 + 2


def test_clips_move_as_their_sentences_say():
    data = DATA.make(NAME)
    examples = split(NAME).held_out[IMAGE]
    paths = nearest_paths(centres_of_brightness(examples.images), data.law)
    stated = data.captions.grammar.stated[examples.labels]
    assert torch.equal(paths.direction, stated[:, 1])
    assert torch.equal(paths.speed.long(), torch.tensor(data.law.speeds)[stated[:, 2]])
    assert paths.distance.max() < 0.3


def test_training_never_shows_a_fifth_of_the_pairs():
    grammar, data = DATA.make(NAME).captions.grammar, split(NAME)
    train, held_out = (
        grammar.is_unseen[side[IMAGE].labels] for side in (data.train, data.held_out)
    )
    assert not train.any()
    assert held_out.double().mean() == pytest.approx(1 / 3, abs=0.03)
    assert grammar.is_unseen.double().mean() == 0.2
    shown = grammar.stated[data.train[IMAGE].labels]
    assert [column.unique().tolist() for column in shown.unbind(1)] == [
        *(list(range(10)), list(range(4)), [0, 1])
    ]


@pytest.mark.parametrize(("settings", "expected"), [("", 0.979), ("(frames=12, side=32)", 0.945)])
def test_the_classifier_reads_real_clips(settings, expected):
    """Speeds are exact; digit and direction are right in 97.9 % of held-out clips of 16x16."""
    evaluator = Evaluator(NAME + settings, CPU)
    metrics = (
        "caption_accuracy",
        "caption_accuracy(of='speed')",
        "caption_accuracy(captions='unseen')",
    )
    readings = evaluator.measure_floor((*metrics, "r_precision(others=40)"))
    assert readings["caption_accuracy"].value == pytest.approx(expected, abs=0.01)
    assert readings["caption_accuracy(of='speed')"].value == 1
    assert readings["caption_accuracy(captions='unseen')"].value > expected - 0.04
    assert readings["r_precision(others=40)"].value > 0.9


def test_floats_are_read_as_bytes_are():
    extractor = EXTRACTORS.make("motion_classifier")
    clips = split(NAME).held_out[IMAGE].images[:20]
    ours = extractor(clips.float().div(127.5).sub(1))
    for one, other in zip(ours, extractor(clips), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("encoder", ["gru", "bag", "label"])
def test_a_video_network_reads_sentences(encoder):
    training = trainer(f"dvdgan(width=4, embedding=8, encoder='{encoder}')", NAME, batch=4)
    for log in steps(training, 2):
        assert all(value == value for value in log.values())
    generator = training.task.generators[IMAGE].eval()
    latents = torch.randn(1, training.task.latent).expand(3, -1)
    labels = torch.tensor([0, 1, 40])
    clips = generator(latents, labels)
    assert modality_of(clips) is CLIPS
    assert clips.flatten(1).unique(dim=0).shape[0] == 3
    assert torch.equal(clips, generator(latents, generator.encode_label(labels)))


def test_pictures_of_clips_show_their_sentences():
    examples = split(NAME).train[IMAGE]
    sentences = [DATA.make(NAME).captions.sentences[n] for n in examples.labels[:4]]
    with_words, without = (draw_captioned(examples.images[:4], x) for x in (sentences, [""] * 4))
    assert with_words != without


def test_other_lengths_are_refused():
    with pytest.raises(SpecError, match=r"frames must lie in 8..16, not 20"):
        DATA.make(f"{NAME}(frames=20)")
