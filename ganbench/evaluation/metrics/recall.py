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
from .knn_manifold import Manifold, held_share, holders
from .pairwise import PairwiseStatistic, Tile, told


@dataclass(frozen=True)
class Around(PairwiseStatistic):
    """Rows: the squared distances to the k nearest others, and which these are [N, 2, k]."""

    k: int

    def of_rows(self, tile: Tile) -> Tensor:
        distances, others = tile.distances.topk(self.k, largest=False)
        return torch.stack([distances, others.to(distances)], 1)


@dataclass(frozen=True)
class Reached(PairwiseStatistic):
    """Sum, of each of y [3, M]: how many balls of x hold it if all reach one neighbour further, the sum
    of their places, and in how many tiles a ball holds it as it is.
    """

    k: int

    def summed(self, tile: Tile) -> Tensor:
        reach = around(tile.pairs.x, self.k)[tile.rows, 0]
        held = (tile.distances <= reach[:, -2:-1]).any(0)
        return torch.stack([*holders(tile.distances <= reach[:, -1:], tile.start), held])


def around(fake: FeatureSet, k: int) -> Tensor:
    """Of each fake one neighbour more than k."""
    return told(Around(k + 1), fake, fake)["rows"]


class Recall(Manifold):
    version = 2  # 1 rounded distances as torch-fidelity does

    def pairwise_statistics(self, fake: FeatureSet, real: FeatureSet) -> PairwiseStatistics:
        return PairwiseStatistics(fakes=(Around(self.k + 1),), pairs=(Reached(self.k),))

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        balls, places, held = told(Reached(self.k), fake, real)["sum"]
        alone, held = balls == 1, held > 0
        kept = places[alone & held].long().bincount(minlength=len(fake))
        bounds = around(fake, self.k)[places[alone & ~held].long(), 1, : self.k]
        kept_out = bounds.flatten().long().bincount(minlength=len(fake))
        found = held_share(held, kept - kept_out, int((kept + kept_out).sum()))
        return found if len(fake) > self.k + 1 else Measurement(found.value)
