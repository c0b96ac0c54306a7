"""Horizontal flipping: mirrored reals, whose sides a generator learns."""

import pytest
import torch
from helpers import CPU, steps, trainer, training_setup

from ganbench.data.base import IMAGE, Batch, BatchLoader, Examples
from ganbench.gan.build import Incompatible
from ganbench.gan.tricks import TRICKS
from ganbench.rng import RngStreams

TEXT = "horizontal_flipping"
CYCLEGAN = "cyclegan(width=4, blocks=1, downs=1, strided=1)"


def reals_of(training, step: int = 0) -> dict[str, torch.Tensor]:
    """Returns the reals of a step's generator batch before and after the trick, by domain."""
    training.begin_step(-1)
    batches = training.loader.batches(step)
    flipped = training.trick.transform_batches(batches)
    return {name: (batches[name].images, flipped[name].images) for name in batches}


def find_flipped(before: torch.Tensor, after: torch.Tensor) -> list[bool]:
    """Returns which examples are mirrored; fails if one is neither mirrored nor kept."""
    chosen = [not torch.equal(*pair) for pair in zip(before, after, strict=True)]
    expected = [x.flip(-1) if flip else x for x, flip in zip(before, chosen, strict=True)]
    assert torch.equal(torch.stack(expected), after)
    return chosen


@pytest.mark.parametrize(
    ("text", "data"),
    [("dcgan(width=4)", "digits"), ("cdcgan(width=4)", "digits"), ("vgan(width=4)", "moving_digits")],
)  # fmt: skip
def test_whole_examples_are_mirrored(text, data):
    ((before, after),) = reals_of(trainer(text, data, tricks=(TEXT,), batch=32)).values()
    assert 5 < sum(find_flipped(before, after)) < 27


def test_labels_and_places_of_examples_stay():
    training = trainer("cdcgan(width=4)", tricks=(f"{TEXT}(share=1)",))
    training.begin_step(-1)
    batch = training.loader.batches(0)[IMAGE]
    flipped = training.trick.transform_batches({IMAGE: batch})[IMAGE]
    assert torch.equal(flipped.labels, batch.labels)
    assert torch.equal(flipped.index, batch.index)
    assert all(find_flipped(batch.images, flipped.images))


def test_domains_without_pairs_have_draws_of_their_own():
    training = trainer(CYCLEGAN, "restyled_digits", tricks=(TEXT,), loss="least_squares", batch=32)
    left, right = (find_flipped(*pair) for pair in reals_of(training).values())
    assert left != right


def test_known_translation_is_mirrored_with_its_input():
    x = torch.arange(48.0).view(8, 1, 2, 3)
    training = trainer(tricks=(TEXT,))
    training.begin_step(-1)
    batch = Batch(x, None, torch.arange(8), -x)
    (flipped,) = training.trick.transform_batches({IMAGE: batch}).values()
    assert torch.equal(flipped.truth, -flipped.images)
    assert any(find_flipped(x, flipped.images))


def test_each_turn_mirrors_other_examples_and_repeats_to_the_bit():
    first, again = (trainer(tricks=(TEXT,), batch=32) for _ in range(2))
    turns = []
    for _ in range(2):
        (pair,) = reals_of(first).values()
        turns.append(find_flipped(*pair))
        assert torch.equal(pair[1], *(after for _, after in reals_of(again).values()))
        first.step, again.step = first.step + 1, again.step + 1
    assert turns[0] != turns[1]


def test_generator_learns_both_sides():
    """Every image is white on the left. Only with the trick are many fakes white on the right."""
    plain, flipped = (share_white_on_the_right(tricks) for tricks in ((), (TEXT,)))
    assert plain < 0.05
    assert 0.2 < flipped < 0.8


def share_white_on_the_right(tricks: tuple[str, ...]) -> float:
    settings = {"batch": 64, "latent": 16, "generator_lr": 3e-3, "discriminator_lr": 3e-3}
    stable = ("r1(weight=1)", "r2(weight=1)", *tricks)
    training = trainer("gan(width=32)", tricks=stable, loss="relativistic", **settings)
    images = torch.zeros(64, 1, 8, 8, dtype=torch.uint8)
    images[..., :4] = 255
    training.loader = BatchLoader({IMAGE: Examples(images)}, 64, RngStreams(0, CPU))
    steps(training, 300)
    (pair,) = training.make_pairs(0, -1)
    left, right = pair.fake.mean((1, 2)).split(4, -1)
    return (right.mean(-1) > left.mean(-1)).float().mean().item()


@pytest.mark.parametrize(
    ("text", "data"),
    [("reed(width=4)", "captioned_digits"), ("dvdgan(width=4)", "captioned_moving_digits")],
)
def test_captions_that_state_a_side_are_refused(text, data):
    with pytest.raises(Incompatible, match="a mirrored image would have a wrong one"):
        training_setup(text, data, tricks=(TEXT,))


def test_images_that_are_learned_without_their_captions_are_mirrored():
    assert training_setup("dcgan(width=4)", "captioned_digits", tricks=(TEXT,))


@pytest.mark.parametrize("share", [0, -0.1, 1.5])
def test_share_is_a_probability_above_zero(share):
    with pytest.raises(ValueError, match=r"share must lie in \(0, 1\]"):
        TRICKS.make(f"{TEXT}(share={share})")
