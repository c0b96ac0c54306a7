"""PSNR: the mean peak signal-to-noise ratio of fakes to their targets, in decibels.

`−10 log₁₀ E(x − y)²` for values in [0, 1].

An image without error would have an infinite ratio. It gets the error of rounding alone, a twelfth
of a squared level, which gives 58.9 dB.

Clips have the mean over their new frames. `step=n` is the n-th of them. `baseline` compares
`last_frame`, `motion` or `content` with the targets instead of the fakes.
"""

from dataclasses import dataclass

from torch import Tensor

from .differences import mean_squared_difference
from .targets import TargetMetric

ROUNDING_VARIANCE = 1 / 12 / 255**2  # the variance of a uniform error of one level


@dataclass(frozen=True)
class PSNR(TargetMetric):
    direction = "higher"
    unit = "dB"

    def compare(self, x: Tensor, y: Tensor) -> Tensor:
        return psnr_decibels(x, y)


def psnr_decibels(x: Tensor, y: Tensor) -> Tensor:
    return -10 * mean_squared_difference(x, y).clamp(min=ROUNDING_VARIANCE).log10()
