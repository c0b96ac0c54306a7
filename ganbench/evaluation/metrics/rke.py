"""RKE (Jalali, Li and Farnia, 2023): the effective number of modes of fakes over reals.

The score is the exponential of the Rényi entropy of order 2 of n examples under a Gaussian kernel.
It equals n / (1 + (n - 1) s), where s is the mean squared kernel of two examples. All pairs of a
side give its s. n is the number of fakes on both sides: both sides then have the same bias, and the
ratio has none to first order. The bandwidth is `width` times the median distance of two reals.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import Measurement, Metric, MetricNotApplicable, PairwiseStatistics
from .feature_set import FeatureSet, Tensors
from .kid import kid_standard_error
from .pairwise import PairTile, PairwiseStatistic, pairwise_statistic

MAX_MEDIAN_POINTS = 1000  # evenly spaced reals for the bandwidth


@dataclass(frozen=True)
class SquaredKernels(PairwiseStatistic):
    """Rows: each example's sum of squared Gaussian kernels with all others, float64 [N]."""

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
            raise MetricNotApplicable("the reals are all alike, so the kernel has no bandwidth")

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
        """Returns each example's mean squared kernel with the others of its side [N]."""
        return pairwise_statistic(self.squared_kernels(real), side, side)["rows"] / (len(side) - 1)

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        return 1.0


def median_distance(real: FeatureSet) -> float:
    """Returns the median distance of differing reals, from a subset; 0 if all are equal.

    It is computed once per reference.
    """

    def make() -> Tensors:
        distances = torch.pdist(real.features[:: -(-len(real) // MAX_MEDIAN_POINTS)].double())
        return {
            "median": distances[distances > 0].median()
            if distances.any()
            else distances.new_zeros(())
        }

    return float(real.cached(f"median_distance({MAX_MEDIAN_POINTS})", make)["median"])
