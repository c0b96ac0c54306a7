"""KID by subsets, as in torch-fidelity: the unbiased squared MMD averaged over subsets.

The random subsets are those of torch-fidelity, so the values agree. A subset holds at most half of
the smaller side, because a subset that is nearly the whole set does not vary. The settings are the
number of subsets (`subsets`) and their size (`subset_size`).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from .base import Measurement, Metric, MetricNotApplicable, PairwiseStatistics
from .feature_set import FeatureSet
from .kid import kid_standard_error
from .pairwise import KernelRowSums, PairTile, PairwiseStatistic, pairwise_statistic

KID_SUBSETS_SEED = 2020


@dataclass(frozen=True)
class SubsetDraw:
    """The sizes that determine the random subsets; a subset has as many fakes as reals."""

    subsets: int
    size: int
    fakes: int
    reals: int

    def membership(self, side: int) -> Tensor:
        """Returns the membership of the fakes (0) or the reals (1) in the subsets.

        The matrix is [N, subsets] of 0 and 1.
        """
        return draw_memberships(self)[side]


@lru_cache(maxsize=2)
def draw_memberships(draw: SubsetDraw) -> tuple[Tensor, Tensor]:
    random = np.random.RandomState(KID_SUBSETS_SEED)
    sides = (torch.zeros(draw.fakes, draw.subsets), torch.zeros(draw.reals, draw.subsets))
    for subset in range(draw.subsets):
        for members in sides:  # alternating sides, as in torch-fidelity
            members[random.choice(len(members), draw.size, replace=False), subset] = 1
    return sides


@dataclass(frozen=True)
class SubsetKernels(PairwiseStatistic):
    """Sum: the sum of the kernels of each subset's pairs, float64 [subsets]."""

    draw: SubsetDraw
    x: int  # 0 if the rows are fakes, 1 if they are reals
    y: int

    def compute_sum(self, tile: PairTile) -> Tensor:
        y_members = self.draw.membership(self.y).to(tile.kernel)
        x_members = self.draw.membership(self.x).to(y_members)[tile.rows]
        return (tile.kernel @ y_members).mul_(x_members).sum(0, dtype=torch.float64)


@dataclass(frozen=True)
class KIDSubsets(Metric):
    direction = "lower"
    transform = "none"

    subsets: int = 100
    subset_size: int = 1000

    def __post_init__(self) -> None:
        if self.subsets < 1 or self.subset_size < 2:
            raise ValueError("there must be at least 1 subset and a subset_size of at least 2")

    def check_applicable(self, fake: FeatureSet, real: FeatureSet) -> None:
        super().check_applicable(fake, real)
        if min(len(fake), len(real)) < 4:
            raise MetricNotApplicable("KID's subsets need at least 4 examples on each side")

    def subset_draw(self, fake: FeatureSet, real: FeatureSet) -> SubsetDraw:
        size = min(self.subset_size, len(fake) // 2, len(real) // 2)
        return SubsetDraw(self.subsets, size, len(fake), len(real))

    def pairwise_statistics(self, fake: FeatureSet, real: FeatureSet) -> PairwiseStatistics:
        draw = self.subset_draw(fake, real)
        return PairwiseStatistics(
            fakes=(SubsetKernels(draw, 0, 0), KernelRowSums()),
            reals=(SubsetKernels(draw, 1, 1),),
            pairs=(SubsetKernels(draw, 0, 1), KernelRowSums()),
        )

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        draw = self.subset_draw(fake, real)
        fake_kernels = pairwise_statistic(SubsetKernels(draw, 0, 0), fake, fake)["sum"]
        real_kernels = pairwise_statistic(SubsetKernels(draw, 1, 1), real, real)["sum"]
        across = pairwise_statistic(SubsetKernels(draw, 0, 1), fake, real)["sum"]
        within = (fake_kernels + real_kernels) / (draw.size * (draw.size - 1))
        value = (within - 2 * across / draw.size**2).mean()
        return Measurement(float(value), self.standard_error(fake, real))

    def standard_error(self, fake: FeatureSet, real: FeatureSet) -> float:
        """Returns the standard error of the statistic of all pairs.

        The average over many subsets is close to that statistic.
        """
        fake_kernels = pairwise_statistic(KernelRowSums(), fake, fake)["rows"] / (len(fake) - 1)
        across = pairwise_statistic(KernelRowSums(), fake, real)["rows"] / len(real)
        return kid_standard_error(fake_kernels - across)

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        return 0.0
