"""Copying (Meehan, Chaudhuri and Dasgupta, 2020): closeness of fakes to training reals.

The value is a share of pairs of a fake and a held-out example. It counts the pairs in which the
fake is nearer to its nearest training real than the held-out example is to its own. Ties count
half. This is the Mann-Whitney statistic over the whole space. A perfect sampler scores 0.5, a
copier 1.

Lower means less copying and nothing else. Below 0.5, fakes are further from the reals than new data
are. That is no better than 0.5, and other metrics measure it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .authenticity import NearestOther, find_nearest
from .base import Measurement, Metric, PairwiseStatistics, mean_measurement
from .feature_set import FeatureSet, Tensors


@dataclass(frozen=True)
class Copying(Metric):
    direction = "lower"
    transform = "logit"
    needs = ("features", "held_out")

    def pairwise_statistics(self, fake: FeatureSet, real: FeatureSet) -> PairwiseStatistics:
        return PairwiseStatistics(pairs=(NearestOther(),))

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        fake_distances, _ = find_nearest(fake, real)
        held_out_squared = held_out_distances(real)
        not_farther = torch.searchsorted(held_out_squared, fake_distances, right=True)
        nearer = torch.searchsorted(held_out_squared, fake_distances)
        return mean_measurement(1 - (not_farther + nearer).double() / (2 * len(held_out_squared)))

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        return 0.5


def held_out_distances(real: FeatureSet) -> Tensor:
    """Returns squared distances from held-out examples to their nearest reals, ascending.

    They are computed once per reference.
    """
    assert real.held_out
    held_out = real.held_out()

    def make() -> Tensors:
        return {"distances": find_nearest(held_out, real)[0].sort().values}

    return real.cached(f"held_out_distances(count={len(held_out)})", make)["distances"]
