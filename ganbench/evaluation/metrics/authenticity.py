"""Authenticity, or AuthPct (Alaa et al., 2022): the share of fakes that are no copies of training reals.

A fake is one if the nearest real is nearer to it than to any other real. What a perfect sampler scores
is not constant: 37 % in the plane, 70 % in 16 dimensions. So compare with the floor, which is held-out
data; above it is no better, for noise scores 1. Theory tells the floor too: it is what reals score, each
in turn in the place of a fake.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import Measurement, Metric, PairwiseStatistics, share
from .feature_set import BLOCK, FeatureSet
from .pairwise import PairwiseStatistic, Tile, told


@dataclass(frozen=True)
class Nearest(PairwiseStatistic):
    """Rows: which other of y is the nearest [N]."""

    def of_rows(self, tile: Tile) -> Tensor:
        return tile.distances.argmin(1)


def nearest(x: FeatureSet, y: FeatureSet) -> tuple[Tensor, Tensor]:
    """The squared distance from each of x to the nearest other of y, and which that is: [N], [N].

    Taken once more, by differences: that from a copy is 0, without rounding.
    """
    which = told(Nearest(), x, y)["rows"]
    blocks = zip(x.features.split(BLOCK), which.split(BLOCK), strict=True)
    gaps = [(rows.double() - y.features[others]).square().sum(1) for rows, others in blocks]
    return torch.cat(gaps), which


@dataclass(frozen=True)
class Authenticity(Metric):
    direction = "higher"
    transform = "logit"

    def pairwise_statistics(self, fake: FeatureSet, real: FeatureSet) -> PairwiseStatistics:
        return PairwiseStatistics(reals=(Nearest(),), pairs=(Nearest(),))

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        (ours, which), (theirs, _) = nearest(fake, real), nearest(real, real)
        return share(float((ours > theirs[which]).double().mean()), len(fake))

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        """What reals score, each against all others, whose own nearest is then not itself."""
        distances, which = nearest(real, real)
        return float((distances > distances[which]).double().mean())
