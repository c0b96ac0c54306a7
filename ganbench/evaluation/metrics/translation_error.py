"""Translation error: the mean absolute difference of fakes and their targets, in [0, 1].

The targets are known for some data although training is unpaired, and for images that were damaged
on purpose.

Clips have the mean over their new frames. `step=n` is the n-th of them. `baseline` compares
`last_frame`, `motion` or `content` with the targets instead of the fakes.
"""

from dataclasses import dataclass

from torch import Tensor

from .differences import mean_absolute_difference
from .targets import TargetMetric


@dataclass(frozen=True)
class TranslationError(TargetMetric):
    direction = "lower"
    transform = "log"

    def compare(self, x: Tensor, y: Tensor) -> Tensor:
        return mean_absolute_difference(x, y)
