"""Modalities: what data consist of, told by the shape of one example."""

import pytest
import torch

from ganbench.data.modality import (
    IMAGES,
    MODALITIES,
    POINTS,
    UnknownModality,
    modality_of,
    modality_of_shape,
    refuse_other_than_images,
)
from ganbench.errors import GanbenchError


@pytest.mark.parametrize(("shape", "modality"), [((2,), POINTS), ((3, 32, 32), IMAGES)])
def test_a_shape_tells_the_modality(shape, modality):
    assert modality_of_shape(shape) is modality
    assert modality_of(torch.zeros(5, *shape)) is modality


@pytest.mark.parametrize("shape", [(), (7, 7), (16, 3, 32, 32)])
def test_what_is_no_modality_is_refused_and_never_taken_for_points(shape):
    with pytest.raises(UnknownModality, match=r"images \[channel, height, width\]"):
        modality_of_shape(shape)
    assert issubclass(UnknownModality, GanbenchError)


def test_no_two_modalities_have_as_many_axes():
    assert len({len(modality.axes) for modality in MODALITIES}) == len(MODALITIES)


def test_a_part_for_images_refuses_others_by_what_they_are():
    assert refuse_other_than_images("it crops images", (1, 8, 8)) is None
    reason = "it crops images, and the data are points of 2 numbers"
    assert refuse_other_than_images("it crops images", (2,)) == reason
