"""KID by subsets, as torch-fidelity and others print it: unbiased squared MMD averaged over subsets.

The subsets are drawn as torch-fidelity draws them, so that the values agree. One holds at most half of
the smaller side: a subset that is nearly the whole set does not vary.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from .base import Measurement, Metric, MetricNotApplicable, PairwiseStatistics
from .feature_set import FeatureSet
from .kid import standard_error
from .pairwise import Kernels, PairwiseStatistic, Tile, told

SEED = 2020


@dataclass(frozen=True)
class Draw:
    """Subsets of as many fakes as reals."""

    subsets: int
    size: int
    fakes: int
    reals: int

    def members(self, side: int) -> Tensor:
        """Who of the fakes (0) or the reals (1) is in which subset: [N, subsets] of 0 and 1."""
        return drawn(self)[side]


@lru_cache(maxsize=2)
def drawn(draw: Draw) -> tuple[Tensor, Tensor]:
    random = np.random.RandomState(SEED)
    sides = (torch.zeros(draw.fakes, draw.subsets), torch.zeros(draw.reals, draw.subsets))
    for subset in range(draw.subsets):
        for members in sides:  # by turns, which is the order that torch-fidelity draws in
            members[random.choice(len(members), draw.size, replace=False), subset] = 1
    return sides


@dataclass(frozen=True)
class SubsetKernels(PairwiseStatistic):
    """Sum: of all kernels of each subset's pairs, float64 [subsets]."""

    draw: Draw
    x: int  # 0 if the rows are fakes, 1 if they are reals
    y: int

    def summed(self, tile: Tile) -> Tensor:
        theirs = self.draw.members(self.y).to(tile.kernel)
        ours = self.draw.members(self.x).to(theirs)[tile.rows]
        return (tile.kernel @ theirs).mul_(ours).sum(0, dtype=torch.float64)


@dataclass(frozen=True)
class KidSubsets(Metric):
    direction = "lower"
    transform = "none"

    subsets: int = 100
    subset_size: int = 1000

    def __post_init__(self) -> None:
        if self.subsets < 1 or self.subset_size < 2:
            raise ValueError("KID needs at least one subset of at least 2")

    def check_applicable(self, fake: FeatureSet, real: FeatureSet) -> None:
        super().check_applicable(fake, real)
        if min(len(fake), len(real)) < 4:
            raise MetricNotApplicable("KID's subsets need at least 4 examples of each side")

    def draw(self, fake: FeatureSet, real: FeatureSet) -> Draw:
        size = min(self.subset_size, len(fake) // 2, len(real) // 2)
        return Draw(self.subsets, size, len(fake), len(real))

    def pairwise_statistics(self, fake: FeatureSet, real: FeatureSet) -> PairwiseStatistics:
        draw = self.draw(fake, real)
        return PairwiseStatistics(
            fakes=(SubsetKernels(draw, 0, 0), Kernels()),
            reals=(SubsetKernels(draw, 1, 1),),
            pairs=(SubsetKernels(draw, 0, 1), Kernels()),
        )

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        draw = self.draw(fake, real)
        ours = told(SubsetKernels(draw, 0, 0), fake, fake)["sum"]
        theirs = told(SubsetKernels(draw, 1, 1), real, real)["sum"]
        across = told(SubsetKernels(draw, 0, 1), fake, real)["sum"]
        within = (ours + theirs) / (draw.size * (draw.size - 1))
        value = (within - 2 * across / draw.size**2).mean()
        return Measurement(float(value), self.standard_error(fake, real))

    def standard_error(self, fake: FeatureSet, real: FeatureSet) -> float:
        """That of the statistic of all pairs: so many subsets come close to it."""
        ours = told(Kernels(), fake, fake)["rows"] / (len(fake) - 1)
        across = told(Kernels(), fake, real)["rows"] / len(real)
        return standard_error(ours - across)

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        return 0.0
