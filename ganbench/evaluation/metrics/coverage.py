"""Coverage (Naeem et al., 2020): the share of reals whose ball holds a fake.

A real's ball reaches to its `k`-th nearest other real.

Its error is a jackknife's over fakes, from how many balls each holds alone.
"""

import math
from dataclasses import dataclass

from torch import Tensor

from .base import Measurement, PairwiseStatistics
from .feature_set import FeatureSet
from .knn_manifold import ManifoldMetric, count_holders, held_share_measurement
from .pairwise import (
    NearestNeighbourDistances,
    PairTile,
    PairwiseStatistic,
    knn_radii,
    pairwise_statistic,
)


@dataclass(frozen=True)
class BallOccupancy(PairwiseStatistic):
    """Sum, of each ball of y: how many of x it holds, and the sum of their places [2, M]."""

    k: int

    def compute_sum(self, tile: PairTile) -> Tensor:
        return count_holders(tile.distances < knn_radii(tile.pairs.y, self.k), tile.start)


@dataclass(frozen=True)
class Coverage(ManifoldMetric):
    k: int = 5

    def pairwise_statistics(self, fake: FeatureSet, real: FeatureSet) -> PairwiseStatistics:
        return PairwiseStatistics(
            reals=(NearestNeighbourDistances(self.k),), pairs=(BallOccupancy(self.k),)
        )

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        held, places = pairwise_statistic(BallOccupancy(self.k), fake, real)["sum"]
        alone = places[held == 1].long().bincount(minlength=len(fake))
        return held_share_measurement(held > 0, alone, int(alone.sum()))

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        """For equal laws, whatever they are: the k nearest of a real are all reals, or else not."""
        n = len(real)
        return 1 - math.prod((n - i) / (count + n - i) for i in range(1, self.k + 1))
