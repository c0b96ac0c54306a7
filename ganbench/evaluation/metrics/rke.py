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
from .kid import standard_error
from .pairwise import PairwiseStatistic, Tile, told

SOME = 1000  # reals at most, evenly spaced, whose distances give the bandwidth


@dataclass(frozen=True)
class SquaredKernels(PairwiseStatistic):
    """Rows: the sum of each example's squared Gaussian kernels with all others, float64 [N]."""

    bandwidth: float

    def of_rows(self, tile: Tile) -> Tensor:
        return tile.distances.div(-(self.bandwidth**2)).exp_().sum(1, dtype=torch.float64)


@dataclass(frozen=True)
class Rke(Metric):
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
        kernels = self.kernels(real)
        return PairwiseStatistics(fakes=(kernels,), reals=(kernels,))

    def kernels(self, real: FeatureSet) -> SquaredKernels:
        return SquaredKernels(self.width * median_distance(real))

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        ours, theirs = (self.likeness(side, real) for side in (fake, real))
        others = len(fake) - 1
        value = float((1 + others * theirs.mean()) / (1 + others * ours.mean()))
        slope = others / (1 + others * float(ours.mean()))
        return Measurement(value, value * slope * standard_error(ours))

    def likeness(self, side: FeatureSet, real: FeatureSet) -> Tensor:
        """Each example's mean squared kernel with the others of its side [N]."""
        return told(self.kernels(real), side, side)["rows"] / (len(side) - 1)

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        return 1.0


def median_distance(real: FeatureSet) -> float:
    """That of two reals which differ, among some; 0 if none do; computed once a reference."""

    def make() -> Tensors:
        found = torch.pdist(real.features[:: -(-len(real) // SOME)].double())
        return {"median": found[found > 0].median() if found.any() else found.new_zeros(())}

    return float(real.derived(f"median_distance({SOME})", make)["median"])
