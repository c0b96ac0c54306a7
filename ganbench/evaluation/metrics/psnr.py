"""PSNR: the mean peak signal-to-noise ratio of fakes to their targets, in decibels.

`−10 log₁₀ E(x − y)²` for values in [0, 1].

An image without error would have an infinite ratio. It gets the error of rounding alone, a twelfth
of a squared level, which gives 58.9 dB.
"""

from dataclasses import dataclass

from torch import Tensor

from .base import Measurement, Metric
from .differences import mean_over_pairs, mean_squared_difference
from .feature_set import FeatureSet

ROUNDING_VARIANCE = 1 / 12 / 255**2  # the variance of a uniform error of one level


@dataclass(frozen=True)
class PSNR(Metric):
    direction = "higher"
    unit = "dB"
    needs = ("features", "truth")

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        return mean_over_pairs(fake.images, fake.truth, psnr_decibels)


def psnr_decibels(x: Tensor, y: Tensor) -> Tensor:
    return -10 * mean_squared_difference(x, y).clamp(min=ROUNDING_VARIANCE).log10()
