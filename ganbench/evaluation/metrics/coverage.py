"""Coverage (Naeem et al., 2020): the share of reals with a fake in their ball.

The ball of a real reaches to its `k`-th nearest other real. Values lie in [0, 1]. The standard
error is a jackknife over fakes. It uses the number of balls that contain one fake and no other.
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
    """Sum: per ball of y, its number of examples of x and the sum of their indices [2, M]."""

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
        """Returns the expected coverage if fakes and reals have the same distribution.

        A ball is missed if the k nearest examples of its centre are all reals. The result holds for
        any distribution.
        """
        n = len(real)
        return 1 - math.prod((n - i) / (count + n - i) for i in range(1, self.k + 1))
