"""Energy distance (Székely and Rizzo, 2013): distances between sides minus within.

`2 E|x − y| − E|x − x′| − E|y − y′|` for features x of fakes and y of reals; 0 for equal distributions.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ganbench.extend import FeatureSet, Measurement, Metric


@dataclass(frozen=True)
class EnergyDistance(Metric):
    direction = "lower"  # lower values are better
    transform = "none"  # the unbiased estimate can be negative, so it has no logarithm

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        x, y = fake.features.double(), real.features.double()
        apart = 2 * torch.cdist(x, y).mean()
        return Measurement(float(apart - mean_distance(x) - mean_distance(y)))

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        return 0.0  # the expected value of a perfect generator


def mean_distance(x: Tensor) -> Tensor:
    """Computes the mean distance between two different examples, [N, F] => []."""
    return torch.cdist(x, x).sum() / (len(x) * (len(x) - 1))
