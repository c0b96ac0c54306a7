"""Precision (Kynkäänniemi et al., 2019): the share of fakes inside the reals' manifold.

A fake is inside if its distance to some real is at most that of the real's `k`-th nearest other
real. Values lie in [0, 1].
"""

from .base import Measurement, PairwiseStatistics, share_measurement
from .feature_set import FeatureSet
from .knn_manifold import ManifoldMetric
from .pairwise import IsInRealBall, NearestNeighbourDistances, pairwise_statistic


class Precision(ManifoldMetric):
    version = 2  # 1 rounded distances as torch-fidelity does

    def pairwise_statistics(self, fake: FeatureSet, real: FeatureSet) -> PairwiseStatistics:
        return PairwiseStatistics(
            reals=(NearestNeighbourDistances(self.k),), pairs=(IsInRealBall(self.k),)
        )

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        held = pairwise_statistic(IsInRealBall(self.k), fake, real)["rows"]
        return share_measurement(float(held.double().mean()), len(fake))
