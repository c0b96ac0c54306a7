"""Checks of the measuring: levels of images, features, and the compared splits."""

from collections.abc import Iterator
from copy import deepcopy
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ganbench.data.base import to_uint8
from ganbench.evaluation.evaluator import Evaluator, evaluator_for
from ganbench.evaluation.extractors.classifier import Classifier

from .base import CheckedMethod, run_check
from .cells import CheckedCell

MAX_REFERENCE = 5_000  # examples of a side whose features are extracted again
COMPARED = 100  # images with features in float64 too
FEATURE_TOLERANCE = 1e-5  # of float32 features, relative to the largest
PLACE = "measuring"


def check_measuring(cells: list[CheckedCell], protocol: str) -> Iterator[CheckedMethod]:
    """Checks how each data set of the cells is measured under a protocol."""
    yield run_check(PLACE, "levels", level_faults)
    for data in dict.fromkeys(cell.data for cell in cells):
        evaluator = evaluator_for(data, "cpu", protocol)
        if isinstance(evaluator.extractor, Classifier):
            yield run_check(data, "features", partial(feature_faults, evaluator))
        if max(map(len, evaluator.split.train.values())) <= MAX_REFERENCE:
            yield run_check(data, "reference", partial(reference_faults, evaluator))


def level_faults() -> Iterator[str]:
    """Images are rounded to the nearest of 256 levels, and clamped to them."""
    levels = np.linspace(-3, 258, 1306)  # in steps of 0.2, so that none lies halfway
    images = torch.from_numpy(levels / 127.5 - 1).view(1, 1, 1, -1)
    expected = np.clip(np.floor(levels + 0.5), 0, 255)
    ours = to_uint8(images).flatten().double().numpy()
    if (wrong := np.flatnonzero(ours != expected)).size:
        first = wrong[0]
        yield f"the level {levels[first]:.2f} becomes {ours[first]:g}, and by definition {expected[first]:g}"


def feature_faults(evaluator: Evaluator) -> Iterator[str]:
    """Features of a classifier are those of its layers in float64, for levels from -1 to 1."""
    extractor, images = evaluator.extractor, evaluator.reference[:COMPARED]
    assert isinstance(extractor, Classifier)
    exact = deepcopy(extractor.network).double()
    with torch.no_grad():
        expected = exact[:-1](images.double() / 255 * 2 - 1)
    off = largest_difference(evaluator.extract(images).features, expected)
    if off > FEATURE_TOLERANCE:
        yield f"features differ by {off:.2g} of the largest from those of the layers in float64"


def reference_faults(evaluator: Evaluator) -> Iterator[str]:
    """Reals are the first training examples, and the floor has held-out examples."""
    domain, count = evaluator.domains[0], evaluator.reference_count
    sides = (
        ("reals", evaluator.real_features.features, evaluator.split.train[domain], count),
        (
            "the floor",
            evaluator.held_out_features.features,
            evaluator.split.held_out[domain],
            evaluator.protocol.fake,
        ),
    )
    for what, ours, examples, count in sides:
        expected = evaluator.extract(examples.images[:count]).features
        if ours.shape != expected.shape or largest_difference(ours, expected) > FEATURE_TOLERANCE:
            yield f"the features of {what} are not those of the declared split"


def largest_difference(ours: Tensor, expected: Tensor) -> float:
    """Returns the largest difference of two tensors, relative to the largest value."""
    return float((ours.double() - expected).abs().max() / expected.abs().max())
