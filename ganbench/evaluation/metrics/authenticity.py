"""Authenticity, or AuthPct (Alaa et al., 2022): the share of fakes that are no copies.

A fake copies a training real if its nearest real is nearer to it than to any other real. The score
of a perfect sampler is not constant: 37 % in the plane, 70 % in 16 dimensions. So compare with the
floor, the score of held-out data. A score above the floor is no better, because noise scores 1. The
expected floor is the score of the reals, each used as a fake against all others.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import Measurement, Metric, PairwiseStatistics, share_measurement
from .feature_set import MEAN_BLOCK_ROWS, FeatureSet
from .pairwise import PairTile, PairwiseStatistic, pairwise_statistic


@dataclass(frozen=True)
class NearestOther(PairwiseStatistic):
    """Rows: the index of the nearest other example of y [N]."""

    def compute_rows(self, tile: PairTile) -> Tensor:
        return tile.distances.argmin(1)


def find_nearest(x: FeatureSet, y: FeatureSet) -> tuple[Tensor, Tensor]:
    """Returns the squared distance to the nearest other of y, and its index: [N], [N].

    The distance is recomputed from differences of features, so the distance to a copy is exactly 0.
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
        """Returns the score of the reals, each used as a fake against all others."""
        distances, which = find_nearest(real, real)
        return float((distances > distances[which]).double().mean())
