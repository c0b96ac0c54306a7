"""Authenticity, or AuthPct (Alaa et al., 2022): the share of fakes that are no copies of training reals.

A fake is one if the nearest real is nearer to it than to any other real. What a perfect sampler scores
is not constant: 37 % in the plane, 70 % in 16 dimensions. So compare with the floor, which is held-out
data; above it is no better, for noise scores 1. Theory tells the floor too: it is what reals score, each
in turn in the place of a fake.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import Measurement, Metric, PairwiseStatistics, share_measurement
from .feature_set import MEAN_BLOCK_ROWS, FeatureSet
from .pairwise import PairTile, PairwiseStatistic, pairwise_statistic


@dataclass(frozen=True)
class NearestOther(PairwiseStatistic):
    """Rows: which other of y is the nearest [N]."""

    def compute_rows(self, tile: PairTile) -> Tensor:
        return tile.distances.argmin(1)


def find_nearest(x: FeatureSet, y: FeatureSet) -> tuple[Tensor, Tensor]:
    """The squared distance from each of x to the nearest other of y, and which that is: [N], [N].

    Taken once more, by differences: that from a copy is 0, without rounding.
    """
    which = pairwise_statistic(NearestOther(), x, y)["rows"]
    blocks = zip(x.features.split(MEAN_BLOCK_ROWS), which.split(MEAN_BLOCK_ROWS), strict=True)
    gaps = [(rows.double() - y.features[others]).square().sum(1) for rows, others in blocks]
    return torch.cat(gaps), which


@dataclass(frozen=True)
class Authenticity(Metric):
    direction = "higher"
    transform = "logit"

    def pairwise_statistics(self, fake: FeatureSet, real: FeatureSet) -> PairwiseStatistics:
        return PairwiseStatistics(reals=(NearestOther(),), pairs=(NearestOther(),))

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        (fake_distances, which), (real_distances, _) = (
            find_nearest(fake, real),
            find_nearest(real, real),
        )
        return share_measurement(
            float((fake_distances > real_distances[which]).double().mean()), len(fake)
        )

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        """What reals score, each against all others, whose own nearest is then not itself."""
        distances, which = find_nearest(real, real)
        return float((distances > distances[which]).double().mean())
