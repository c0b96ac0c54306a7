"""Precision (Kynkäänniemi et al., 2019): the share of fakes that lie among the reals.

A fake is among them if it is no further from some real than that real's `k`-th nearest other real.
"""

from .base import Measurement, PairwiseStatistics, share
from .feature_set import FeatureSet
from .knn_manifold import Manifold
from .pairwise import AmongReals, Neighbours, told


class Precision(Manifold):
    version = 2  # 1 rounded distances as torch-fidelity does

    def pairwise_statistics(self, fake: FeatureSet, real: FeatureSet) -> PairwiseStatistics:
        return PairwiseStatistics(reals=(Neighbours(self.k),), pairs=(AmongReals(self.k),))

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        held = told(AmongReals(self.k), fake, real)["rows"]
        return share(float(held.double().mean()), len(fake))
