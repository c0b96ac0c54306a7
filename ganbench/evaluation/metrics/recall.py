"""Recall (Kynkäänniemi et al., 2019): the share of reals that lie among the fakes.

A real is among them if it is no further from some fake than that fake's `k`-th nearest other fake.

Its error is a jackknife's over fakes. Without one fake its ball is gone, and balls that it bounds reach
one neighbour further; counted are those reals that a single ball holds when all reach that far.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import Measurement, PairwiseStatistics
from .feature_set import FeatureSet
from .knn_manifold import ManifoldMetric, count_holders, held_share_measurement
from .pairwise import PairTile, PairwiseStatistic, pairwise_statistic


@dataclass(frozen=True)
class NeighbourIndices(PairwiseStatistic):
    """Rows: the squared distances to the k nearest others, and which these are [N, 2, k]."""

    k: int

    def compute_rows(self, tile: PairTile) -> Tensor:
        distances, others = tile.distances.topk(self.k, largest=False)
        return torch.stack([distances, others.to(distances)], 1)


@dataclass(frozen=True)
class ReachedReals(PairwiseStatistic):
    """Sum, of each of y [3, M]: how many balls of x hold it if all reach one neighbour further, the sum
    of their places, and in how many tiles a ball holds it as it is.
    """

    k: int

    def compute_sum(self, tile: PairTile) -> Tensor:
        reach = neighbours_of_fakes(tile.pairs.x, self.k)[tile.rows, 0]
        held = (tile.distances <= reach[:, -2:-1]).any(0)
        return torch.stack([*count_holders(tile.distances <= reach[:, -1:], tile.start), held])


def neighbours_of_fakes(fake: FeatureSet, k: int) -> Tensor:
    """Of each fake one neighbour more than k."""
    return pairwise_statistic(NeighbourIndices(k + 1), fake, fake)["rows"]


class Recall(ManifoldMetric):
    version = 2  # 1 rounded distances as torch-fidelity does

    def pairwise_statistics(self, fake: FeatureSet, real: FeatureSet) -> PairwiseStatistics:
        return PairwiseStatistics(
            fakes=(NeighbourIndices(self.k + 1),), pairs=(ReachedReals(self.k),)
        )

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        balls, index_sum, tiles = pairwise_statistic(ReachedReals(self.k), fake, real)["sum"]
        has_one_ball, is_held = balls == 1, tiles > 0
        holder = index_sum.long()  # the fake whose ball it is, where has_one_ball
        singly_held = holder[has_one_ball & is_held].bincount(minlength=len(fake))
        just_missed = holder[has_one_ball & ~is_held]
        bounds = neighbours_of_fakes(fake, self.k)[just_missed, 1, : self.k]
        kept_out = bounds.flatten().long().bincount(minlength=len(fake))
        measurement = held_share_measurement(
            is_held, singly_held - kept_out, int((singly_held + kept_out).sum())
        )
        return measurement if len(fake) > self.k + 1 else Measurement(measurement.value)
