"""Density (Naeem et al., 2020): the mean number of reals' balls around a fake, over k.

The ball of a real reaches to its `k`-th nearest other real. Values lie in [0, ∞) and may exceed 1;
a perfect generator is expected to score 1.
"""

from dataclasses import dataclass

from .base import Measurement, PairwiseStatistics, mean_measurement
from .feature_set import FeatureSet
from .knn_manifold import ManifoldMetric
from .pairwise import NearestNeighbourDistances, RealBallCounts, pairwise_statistic


@dataclass(frozen=True)
class Density(ManifoldMetric):
    transform = "none"

    k: int = 5

    def pairwise_statistics(self, fake: FeatureSet, real: FeatureSet) -> PairwiseStatistics:
        return PairwiseStatistics(
            reals=(NearestNeighbourDistances(self.k),), pairs=(RealBallCounts(self.k),)
        )

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        held = pairwise_statistic(RealBallCounts(self.k), fake, real)["rows"]
        return mean_measurement(held.double() / self.k)

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        return 1.0
