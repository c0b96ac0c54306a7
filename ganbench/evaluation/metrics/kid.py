"""KID (Bińkowski et al., 2018): the unbiased squared MMD with a cubic kernel.

`E k(x, x′) + E k(y, y′) − 2 E k(x, y)` over all pairs of different examples, with `k(x, y) = (⟨x,
y⟩ / d + 1)³` of `d` features.

Values below zero are valid and agree with zero within the error. The standard error is that of the
statistic's first-order projection. `kid_subsets` is the average over subsets that other libraries
report.
"""

from dataclasses import dataclass

from torch import Tensor

from .base import Measurement, Metric, PairwiseStatistics, standard_deviation
from .feature_set import FeatureSet
from .pairwise import KernelRowSums, pairwise_statistic


@dataclass(frozen=True)
class KID(Metric):
    version = 2  # 1 was the average over subsets
    direction = "lower"
    transform = "none"

    def pairwise_statistics(self, fake: FeatureSet, real: FeatureSet) -> PairwiseStatistics:
        return PairwiseStatistics(
            fakes=(KernelRowSums(),), reals=(KernelRowSums(),), pairs=(KernelRowSums(),)
        )

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        fake_kernels = pairwise_statistic(KernelRowSums(), fake, fake)["rows"] / (len(fake) - 1)
        real_kernels = pairwise_statistic(KernelRowSums(), real, real)["rows"] / (len(real) - 1)
        across = pairwise_statistic(KernelRowSums(), fake, real)["rows"] / len(real)
        value = fake_kernels.mean() + real_kernels.mean() - 2 * across.mean()
        return Measurement(float(value), kid_standard_error(fake_kernels - across))

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        return 0.0


def kid_standard_error(projection: Tensor) -> float:
    """Returns the standard error of a U-statistic from its projection [N].

    The projection is each example's mean kernel with its own side minus that with the other side.
    """
    return 2 * standard_deviation(projection) / len(projection) ** 0.5
