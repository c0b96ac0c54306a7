"""MIND, or Monge Inception Distance (Berthet et al., 2026): a sliced Wasserstein distance.

The value is the mean squared Wasserstein distance between sorted projections on random directions
(`directions`). It is multiplied by three times the number of features, so a shift by m contributes
3 |m|². The random directions are those of torch-fidelity. If one side is larger, a random subset of
it is used.

The standard error comes from the distance's derivative, the cost of moving each fake. That is
Kantorovich's potential, integrated along the sorted fakes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import Measurement, Metric, standard_deviation
from .feature_set import FeatureSet

PROJECTION_SEED = 2020
MIND_SCALE = 3  # multiplied by the number of features
MAX_NUMBERS_AT_ONCE = 2**22  # projected values of one side in memory at once


@dataclass(frozen=True)
class MIND(Metric):
    direction = "lower"
    transform = "log"

    directions: int = 1000

    def __post_init__(self) -> None:
        if self.directions < 1:
            raise ValueError(f"there must be at least 1 direction, not {self.directions}")

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        random = torch.Generator().manual_seed(PROJECTION_SEED)
        count, width = min(len(fake), len(real)), fake.features.shape[1]
        fake_features, real_features = (
            draw_some(side.features, count, random) for side in (fake, real)
        )
        drawn = torch.randn(self.directions, width, generator=random)
        directions = (drawn / drawn.norm(dim=1, keepdim=True).clamp_min(1e-12)).to(fake_features)
        scale = MIND_SCALE * width / self.directions
        total, potential = 0.0, fake_features.new_zeros(count, dtype=torch.float64)
        for part in directions.split(max(1, MAX_NUMBERS_AT_ONCE // count)):
            x, order = (fake_features @ part.T).sort(0)
            gaps = (x - (real_features @ part.T).sort(0).values).double()
            total += float(gaps.square().mean(0).sum())
            potential += transport_potentials(x.double(), gaps, order).sum(1)
        return Measurement(scale * total, scale * standard_deviation(potential) / count**0.5)


def draw_some(features: Tensor, count: int, random: torch.Generator) -> Tensor:
    """Returns all rows, or `count` random rows if there are more."""
    if len(features) == count:
        return features
    chosen = torch.randperm(len(features), generator=random)[:count]
    return features[chosen.to(features.device)]


def transport_potentials(x: Tensor, gaps: Tensor, order: Tensor) -> Tensor:
    """Returns the cost of moving each point, up to a constant, in the points' order [N, M].

    `x` [N, M] are the sorted points and `order` [N, M] their original rows. The derivative of the
    potential at a point is twice the gap between the point and its target.
    """
    steps = (gaps[1:] + gaps[:-1]) * x.diff(dim=0)
    risen = torch.cat([torch.zeros_like(x[:1]), steps.cumsum(0)])
    return torch.zeros_like(x).scatter_(0, order, risen - risen.mean(0))
