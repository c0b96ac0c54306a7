"""Restyled motion: sources of two clips, and transfers that the law draws."""

import pytest
import torch
from helpers import split

from ganbench.data import DATA
from ganbench.data.bouncing import BouncingLaw
from ganbench.data.restyled_motion import CLIP, SOURCES
from ganbench.evaluation.metrics.motion import centres_of_brightness, nearest_paths

NAME = "restyled_motion"
FINGERPRINT = "e4cdd49baae63339d124c4ece05255ac9e791ddd1dd78fab49c08bdfcee5bc7c"


@pytest.fixture(scope="module")
def sides():
    loaded = split(NAME)
    return loaded.train, loaded.held_out


def first_box(clips):
    """Places of the first lit pixel along each axis, in each frame: [N, C, T, H, W] => [N, T, 2]."""
    lit = clips[:, 0] > 0
    return torch.stack([lit.any(other).int().argmax(2) for other in (3, 2)], 2)


def test_data_have_the_stated_fingerprint():
    assert split(NAME).fingerprint() == FINGERPRINT


def test_transfers_show_the_content_on_the_path_of_the_motion(sides):
    for side in sides:
        sources, truth = side[SOURCES].images[:200], side[SOURCES].truth[:200]
        motion, content = sources.chunk(2, 2)
        # Offsets of a digit in its square are constant, so paths agree but for a constant.
        moved = first_box(truth) - first_box(motion)
        assert (moved == moved[:, :1]).all()
        # The same pixels at another place: each frame of the content has those of the truth.
        assert torch.equal(truth.sum((1, 3, 4)), content.sum((1, 3, 4)))
        frames = [x[:, :, 0].flatten(1).sort(1).values for x in (truth, content)]
        assert torch.equal(*frames)


def test_transfer_differs_from_both_sources(sides):
    for side in sides:
        motion, content = side[SOURCES].images.chunk(2, 2)
        for clips in (motion, content):
            differs = (clips != side[SOURCES].truth).flatten(1).any(1)
            assert differs.double().mean() > 0.99


def test_transfers_obey_the_law_in_the_direction_of_their_class(sides):
    law = split(NAME).law
    assert law == BouncingLaw(8, 8, (1, 2))
    for side in sides:
        examples = side[SOURCES]
        paths = nearest_paths(centres_of_brightness(examples.truth[:500]), law)
        assert paths.distance.max() < 1e-6
        assert torch.equal(paths.direction, examples.labels[:500] % 4)
        own = nearest_paths(centres_of_brightness(examples.images[:500, :, :8]), law)
        assert torch.equal(own.direction, paths.direction)


def test_domains_have_declared_shapes_and_classes(sides):
    data = DATA.make(NAME)
    for side, count in zip(sides, (8_000, 2_000), strict=True):
        for domain in (SOURCES, CLIP):
            assert side[domain].images.shape == (count, *data.shapes[domain])
            assert side[domain].labels.unique().tolist() == list(range(data.classes))
        assert side[SOURCES].truth.shape == side[CLIP].images.shape
        assert side[CLIP].truth is None


def test_other_clips_are_no_transfers(sides):
    for side in sides:
        assert (side[CLIP].images != side[SOURCES].truth).flatten(1).any(1).double().mean() > 0.99


def test_settings_are_those_of_moving_digits():
    data = DATA.make("restyled_motion(frames=10, side=32)")
    assert data.shapes == {SOURCES: (1, 20, 32, 32), CLIP: (1, 10, 32, 32)}
    with pytest.raises(ValueError, match="side must be 16, 32 or 64"):
        DATA.make("restyled_motion(side=20)")
