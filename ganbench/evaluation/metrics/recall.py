"""Recall (Kynkäänniemi et al., 2019): the share of reals inside the fakes' manifold.

A real is inside if its distance to some fake is at most that of the fake's `k`-th nearest other
fake. Values lie in [0, 1].

The standard error is a jackknife over fakes. Removing a fake removes its ball and extends the balls
that it bounds by one neighbour. The jackknife counts the reals in exactly one ball when every ball
is extended by one neighbour.
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
    """Rows: squared distances to the k nearest others, and their indices [N, 2, k]."""

    k: int

    def compute_rows(self, tile: PairTile) -> Tensor:
        distances, others = tile.distances.topk(self.k, largest=False)
        return torch.stack([distances, others.to(distances)], 1)


@dataclass(frozen=True)
class ReachedReals(PairwiseStatistic):
    """Sum: three numbers for each example of y [3, M], from balls around the examples of x.

    - the number of balls that contain it after all balls are extended by one neighbour
    - the sum of these balls' indices
    - the number of tiles with an original ball that contains it
    """

    k: int

    def compute_sum(self, tile: PairTile) -> Tensor:
        reach = neighbours_of_fakes(tile.pairs.x, self.k)[tile.rows, 0]
        held = (tile.distances <= reach[:, -2:-1]).any(0)
        return torch.stack([*count_holders(tile.distances <= reach[:, -1:], tile.start), held])


def neighbours_of_fakes(fake: FeatureSet, k: int) -> Tensor:
    """Returns the k + 1 nearest neighbours of each fake [N, 2, k + 1]."""
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
        holder = index_sum.long()  # index of the fake with the ball, where has_one_ball
        singly_held = holder[has_one_ball & is_held].bincount(minlength=len(fake))
        just_missed = holder[has_one_ball & ~is_held]
        bounds = neighbours_of_fakes(fake, self.k)[just_missed, 1, : self.k]
        kept_out = bounds.flatten().long().bincount(minlength=len(fake))
        measurement = held_share_measurement(
            is_held, singly_held - kept_out, int((singly_held + kept_out).sum())
        )
        return measurement if len(fake) > self.k + 1 else Measurement(measurement.value)
