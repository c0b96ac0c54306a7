"""Energy distance (Székely and Rizzo, 2013): how far fakes lie from reals, less how far from each other.

`2 E|x − y| − E|x − x′| − E|y − y′|` of features; 0 of equal laws.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ganbench.extend import FeatureSet, Measurement, Metric


@dataclass(frozen=True)
class EnergyDistance(Metric):
    direction = "lower"  # is better
    transform = "none"  # the unbiased estimate may fall below 0, so no logarithm

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        x, y = fake.features.double(), real.features.double()
        apart = 2 * torch.cdist(x, y).mean()
        return Measurement(float(apart - mean_distance(x) - mean_distance(y)))

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        return 0.0  # the expected value of a perfect generator


def mean_distance(x: Tensor) -> Tensor:
    """The mean distance of two different examples."""
    return torch.cdist(x, x).sum() / (len(x) * (len(x) - 1))
