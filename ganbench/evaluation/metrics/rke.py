"""RKE (Jalali, Li and Farnia, 2023): how many modes there are, of fakes over reals.

The score is exp of the Rényi entropy of order 2 of n examples under a Gaussian kernel, which is
n / (1 + (n - 1) s), where s is the mean squared kernel of two of them. All pairs of a side tell its s,
and n is the number of fakes for both sides: its bias is the same in both, and the ratio has none to
first order. The bandwidth comes from the reals alone.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import Measurement, Metric, MetricNotApplicable, PairwiseStatistics
from .feature_set import FeatureSet, Tensors
from .kid import kid_standard_error
from .pairwise import PairTile, PairwiseStatistic, pairwise_statistic

MAX_MEDIAN_POINTS = 1000  # reals at most, evenly spaced, whose distances give the bandwidth


@dataclass(frozen=True)
class SquaredKernels(PairwiseStatistic):
    """Rows: the sum of each example's squared Gaussian kernels with all others, float64 [N]."""

    bandwidth: float

    def compute_rows(self, tile: PairTile) -> Tensor:
        return tile.distances.div(-(self.bandwidth**2)).exp_().sum(1, dtype=torch.float64)


@dataclass(frozen=True)
class RKE(Metric):
    direction = "higher"
    transform = "log"

    width: float = 0.5  # the bandwidth, as a share of the median distance of two reals

    def __post_init__(self) -> None:
        if not self.width > 0:
            raise ValueError(f"width must be above 0, not {self.width}")

    def check_applicable(self, fake: FeatureSet, real: FeatureSet) -> None:
        super().check_applicable(fake, real)
        if median_distance(real) == 0:
            raise MetricNotApplicable("the reals are all alike, which gives no bandwidth")

    def pairwise_statistics(self, fake: FeatureSet, real: FeatureSet) -> PairwiseStatistics:
        kernels = self.squared_kernels(real)
        return PairwiseStatistics(fakes=(kernels,), reals=(kernels,))

    def squared_kernels(self, real: FeatureSet) -> SquaredKernels:
        return SquaredKernels(self.width * median_distance(real))

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        fake_likeness, real_likeness = (self.mean_likeness(side, real) for side in (fake, real))
        others = len(fake) - 1
        value = float((1 + others * real_likeness.mean()) / (1 + others * fake_likeness.mean()))
        slope = others / (1 + others * float(fake_likeness.mean()))
        return Measurement(value, value * slope * kid_standard_error(fake_likeness))

    def mean_likeness(self, side: FeatureSet, real: FeatureSet) -> Tensor:
        """Each example's mean squared kernel with the others of its side [N]."""
        return pairwise_statistic(self.squared_kernels(real), side, side)["rows"] / (len(side) - 1)

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        return 1.0


def median_distance(real: FeatureSet) -> float:
    """That of two reals which differ, among some; 0 if none do; computed once a reference."""

    def make() -> Tensors:
        distances = torch.pdist(real.features[:: -(-len(real) // MAX_MEDIAN_POINTS)].double())
        return {
            "median": distances[distances > 0].median()
            if distances.any()
            else distances.new_zeros(())
        }

    return float(real.cached(f"median_distance({MAX_MEDIAN_POINTS})", make)["median"])
