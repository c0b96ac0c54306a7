"""Energy distance (Székely and Rizzo, 2013): how far fakes lie from reals, less how far from each other.

`2 E|x − y| − E|x − x′| − E|y − y′|` of features; 0 of equal laws.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ganbench.metrics.base import Measurement, Metric
from ganbench.metrics.sample import Sample


@dataclass(frozen=True)
class EnergyDistance(Metric):
    direction = "lower"  # is better
    transform = "none"  # the unbiased estimate may fall below 0, so no logarithm

    def measure(self, fake: Sample, real: Sample) -> Measurement:
        x, y = fake.features.double(), real.features.double()
        return Measurement(float(2 * torch.cdist(x, y).mean() - within(x) - within(y)))

    def floor(self, real: Sample, count: int) -> float:
        return 0.0  # what a perfect generator is expected to score


def within(x: Tensor) -> Tensor:
    """The mean distance of two different examples."""
    return torch.cdist(x, x).sum() / (len(x) * (len(x) - 1))
