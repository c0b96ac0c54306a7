"""The birthday paradox test (Arora, Risteski and Zhang, 2018): of how many examples the fakes are drawn.

Of s equally likely examples one in s pairs is a pair of the same. Here two fakes count as the same if
they are no further apart than the median real is from its nearest other, so that the support of a
perfect generator is about the number of reals. Where most reals have a copy among them that distance
is but rounding's, and only copies count: this is the test as it was proposed.
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
    """Rows: how many others are no further than this, a squared distance [N]."""

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
                f"no two of {len(fake):,} fakes are as near as reals are: "
                f"the support is more than {math.comb(len(fake), 2):,} examples"
            )
        return Measurement(1 / share, collision_variance(near) ** 0.5 / share**2)

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        """That of the reals themselves."""
        return 1 / float(collision_shares(real, collision_reach(real)).mean())


def collision_shares(sample: FeatureSet, reach: float) -> Tensor:
    """The share of the others that each example is the same as: float64 [N]."""
    return pairwise_statistic(CountsWithin(reach), sample, sample)["rows"].double() / (
        len(sample) - 1
    )


def collision_reach(real: FeatureSet) -> float:
    """The squared distance from the median real to its nearest other, or rounding's, if that is more."""
    nearest = pairwise_statistic(NearestNeighbourDistances(1), real, real)["rows"][:, 0]
    return max(float(nearest.median()), distance_rounding(real))


def distance_rounding(real: FeatureSet) -> float:
    """What may come out as the squared distance of copies; features are in single precision."""
    eps = torch.finfo(torch.float32).eps
    lengths = torch.linalg.vector_norm(real.features, dim=1, dtype=torch.float64)
    share = (
        eps**2 if real.features.shape[1] <= MAX_COLUMNS_PER_PRODUCT else 8 * eps
    )  # as products of pairs are made
    return share * float(lengths.square().mean())


def collision_variance(near: Tensor) -> float:
    """Of the share of pairs, a U-statistic, by Hoeffding (1948): what examples add, and what pairs do."""
    n, share = len(near), near.mean()
    pairs = share * (1 - share)
    examples = (near.var() - pairs / (n - 1)).clamp(min=0)
    return float(4 * examples / n + 2 * pairs / (n * (n - 1)))
