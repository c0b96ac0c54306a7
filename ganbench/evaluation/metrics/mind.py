"""MIND, or Monge Inception Distance (Berthet et al., 2026): how far points must be moved, seen from all sides.

The squared distance of Wasserstein between sorted projections on random directions, averaged over them
and times three times the number of features, so that a shift by m counts 3 |m|². By torch-fidelity's
draws: of unequal sides the larger is cut at random. Its error comes from what moving each fake costs,
which is the distance's derivative (Kantorovich's potential, by integration along the sorted fakes).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import Measurement, Metric, standard_deviation
from .feature_set import FeatureSet

PROJECTION_SEED = 2020
MIND_SCALE = 3  # times the number of features
MAX_NUMBERS_AT_ONCE = 2**22  # of one side's projections that are held at a time


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
    """All of them, or so many at random."""
    if len(features) == count:
        return features
    chosen = torch.randperm(len(features), generator=random)[:count]
    return features[chosen.to(features.device)]


def transport_potentials(x: Tensor, gaps: Tensor, order: Tensor) -> Tensor:
    """What moving each point costs, but for a constant: of sorted points [N, M], at their own places [N, M].

    Its derivative at a point is twice the gap between it and where it goes.
    """
    steps = (gaps[1:] + gaps[:-1]) * x.diff(dim=0)
    risen = torch.cat([torch.zeros_like(x[:1]), steps.cumsum(0)])
    return torch.zeros_like(x).scatter_(0, order, risen - risen.mean(0))
