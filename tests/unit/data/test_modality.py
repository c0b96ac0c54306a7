"""Modalities of data, derived from the shape of one example."""

import pytest
import torch

from ganbench.data.modality import (
    CLIPS,
    IMAGES,
    MODALITIES,
    POINTS,
    Modality,
    UnknownModality,
    modality_of,
    modality_of_shape,
    refuse_other_than_clips,
    refuse_other_than_images,
)
from ganbench.errors import GanbenchError
from ganbench.evaluation.metrics.base import MetricNotApplicable, need_images
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.image_grid import draw_picture


@pytest.mark.parametrize(
    ("shape", "modality"), [((2,), POINTS), ((3, 32, 32), IMAGES), ((1, 8, 16, 16), CLIPS)]
)
def test_shape_determines_the_modality(shape, modality):
    assert modality_of_shape(shape) is modality
    assert modality_of(torch.zeros(5, *shape)) is modality


@pytest.mark.parametrize("shape", [(), (7, 7), (1, 2, 3, 32, 32)])
def test_unknown_shapes_are_refused(shape):
    with pytest.raises(UnknownModality, match=r"images \[channel, height, width\]"):
        modality_of_shape(shape)
    assert issubclass(UnknownModality, GanbenchError)


def test_modalities_differ_in_number_of_axes():
    assert len({len(modality.axes) for modality in MODALITIES}) == len(MODALITIES)


def test_refusal_describes_the_data():
    assert refuse_other_than_images("it crops images", (1, 8, 8)) is None
    reason = "it crops images, and the data are points of 2 numbers"
    assert refuse_other_than_images("it crops images", (2,)) == reason
    reason = "it crops images, and the data are clips of 8x16x16"
    assert refuse_other_than_images("it crops images", (1, 8, 16, 16)) == reason
    assert refuse_other_than_clips("it cuts clips", (1, 8, 16, 16)) is None
    reason = "it cuts clips, and the data are images of 16x16"
    assert refuse_other_than_clips("it cuts clips", (1, 16, 16)) == reason


@pytest.fixture
def scans(monkeypatch):
    """Two examples of a modality that only the table lists."""
    axes = ("time", "channel", "depth", "height", "width")
    modality = Modality("scans", axes, has_pixels=True)
    monkeypatch.setattr("ganbench.data.modality.MODALITIES", (*MODALITIES, modality))
    return torch.zeros(2, 3, 1, 4, 8, 8, dtype=torch.uint8)


def test_new_modality_is_described_by_its_axes(scans):
    reason = "it crops images, and the data are scans of 3x4x8x8"
    assert refuse_other_than_images("it crops images", scans.shape[1:]) == reason


def test_pictures_refuse_new_modality_by_name(scans):
    with pytest.raises(UnknownModality, match="but not scans"):
        draw_picture(scans, scans)


def test_image_metrics_refuse_new_modality_by_name(scans):
    sample = FeatureSet(torch.zeros(2, 3), images=scans)
    with pytest.raises(MetricNotApplicable, match="the samples are scans"):
        need_images(sample, sample)
