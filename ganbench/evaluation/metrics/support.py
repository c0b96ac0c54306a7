"""The birthday paradox test (Arora, Risteski and Zhang, 2018): the fakes' support size.

With s equally likely examples, one in s pairs is a pair of equal examples. Two fakes count as equal
up to the median distance from a real to its nearest other real. The support of a perfect generator
is then about the number of reals. If most reals have copies, that distance is only rounding. Then
only copies count, which is the test as originally proposed.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .base import Measurement, Metric, MetricNotApplicable, PairwiseStatistics
from .feature_set import FeatureSet
from .pairwise import (
    MAX_COLUMNS_PER_PRODUCT,
    NearestNeighbourDistances,
    PairTile,
    PairwiseStatistic,
    pairwise_statistic,
)


@dataclass(frozen=True)
class CountsWithin(PairwiseStatistic):
    """Rows: the number of others within a squared distance, `reach` [N]."""

    reach: float

    def compute_rows(self, tile: PairTile) -> Tensor:
        return (tile.distances <= self.reach).sum(1, dtype=torch.int32)


@dataclass(frozen=True)
class Support(Metric):
    direction = "higher"
    transform = "log"
    unit = "examples"

    def pairwise_statistics(self, fake: FeatureSet, real: FeatureSet) -> PairwiseStatistics:
        return PairwiseStatistics(
            fakes=(CountsWithin(collision_reach(real)),), reals=(NearestNeighbourDistances(1),)
        )

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        near = collision_shares(fake, collision_reach(real))
        share = float(near.mean())
        if share == 0:
            raise MetricNotApplicable(
                f"no two of {len(fake):,} fakes are as close as reals are to each other: "
                f"the support is more than {math.comb(len(fake), 2):,} examples"
            )
        return Measurement(1 / share, collision_variance(near) ** 0.5 / share**2)

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        """Returns the support size of the reals themselves."""
        return 1 / float(collision_shares(real, collision_reach(real)).mean())


def collision_shares(sample: FeatureSet, reach: float) -> Tensor:
    """Returns each example's share of others that count as equal to it: float64 [N]."""
    return pairwise_statistic(CountsWithin(reach), sample, sample)["rows"].double() / (
        len(sample) - 1
    )


def collision_reach(real: FeatureSet) -> float:
    """Returns the squared distance up to which two examples count as equal.

    It is the median over reals of the squared distance to the nearest other, but at least that of
    rounding.
    """
    nearest = pairwise_statistic(NearestNeighbourDistances(1), real, real)["rows"][:, 0]
    return max(float(nearest.median()), distance_rounding(real))


def distance_rounding(real: FeatureSet) -> float:
    """Returns a bound on the computed squared distance of copies.

    Features are in single precision.
    """
    eps = torch.finfo(torch.float32).eps
    lengths = torch.linalg.vector_norm(real.features, dim=1, dtype=torch.float64)
    share = (
        eps**2 if real.features.shape[1] <= MAX_COLUMNS_PER_PRODUCT else 8 * eps
    )  # the precision of the products, as in CentredPairs
    return share * float(lengths.square().mean())


def collision_variance(near: Tensor) -> float:
    """Returns the variance of the share of equal pairs, a U-statistic (Hoeffding, 1948).

    The variance has a term of examples and a term of pairs.
    """
    n, share = len(near), near.mean()
    pairs = share * (1 - share)
    examples = (near.var() - pairs / (n - 1)).clamp(min=0)
    return float(4 * examples / n + 2 * pairs / (n * (n - 1)))
