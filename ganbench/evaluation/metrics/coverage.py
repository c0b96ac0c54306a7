"""Coverage (Naeem et al., 2020): the share of reals whose ball holds a fake.

A real's ball reaches to its `k`-th nearest other real.

Its error is a jackknife's over fakes, from how many balls each holds alone.
"""

import math
from dataclasses import dataclass

from torch import Tensor

from .base import Measurement, PairwiseStatistics
from .feature_set import FeatureSet
from .knn_manifold import Manifold, held_share, holders
from .pairwise import Neighbours, PairwiseStatistic, Tile, radii, told


@dataclass(frozen=True)
class Holders(PairwiseStatistic):
    """Sum, of each ball of y: how many of x it holds, and the sum of their places [2, M]."""

    k: int

    def summed(self, tile: Tile) -> Tensor:
        return holders(tile.distances < radii(tile.pairs.y, self.k), tile.start)


@dataclass(frozen=True)
class Coverage(Manifold):
    k: int = 5

    def pairwise_statistics(self, fake: FeatureSet, real: FeatureSet) -> PairwiseStatistics:
        return PairwiseStatistics(reals=(Neighbours(self.k),), pairs=(Holders(self.k),))

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        held, places = told(Holders(self.k), fake, real)["sum"]
        alone = places[held == 1].long().bincount(minlength=len(fake))
        return held_share(held > 0, alone, int(alone.sum()))

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        """For equal laws, whatever they are: the k nearest of a real are all reals, or else not."""
        n = len(real)
        return 1 - math.prod((n - i) / (count + n - i) for i in range(1, self.k + 1))
