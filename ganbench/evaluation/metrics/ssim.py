"""SSIM (Wang et al., 2004): the mean similarity of fakes to their targets.

Windows have eleven pixels and a Gaussian of 1.5 pixels; a smaller image has a smaller window.
Pixels are mirrored at the border, as in torchmetrics.

Clips have the mean over their new frames. `step=n` is the n-th of them. `baseline` compares
`last_frame`, `motion` or `content` with the targets instead of the fakes.
"""

from dataclasses import dataclass

from torch import Tensor

from .ms_ssim import structural_similarity
from .targets import TargetMetric


@dataclass(frozen=True)
class SSIM(TargetMetric):
    direction = "higher"

    def compare(self, x: Tensor, y: Tensor) -> Tensor:
        return structural_similarity(x, y, luminance=True)
