"""SSIM (Wang et al., 2004): the mean similarity of fakes to their targets.

Windows have eleven pixels and a Gaussian of 1.5 pixels; a smaller image has a smaller window.
Pixels are mirrored at the border, as in torchmetrics.
"""

from dataclasses import dataclass

from torch import Tensor

from .base import Measurement, Metric
from .differences import mean_over_pairs
from .feature_set import FeatureSet
from .ms_ssim import structural_similarity


@dataclass(frozen=True)
class SSIM(Metric):
    direction = "higher"
    needs = ("features", "truth")

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        return mean_over_pairs(fake.images, fake.truth, compute_ssim)


def compute_ssim(x: Tensor, y: Tensor) -> Tensor:
    return structural_similarity(x, y, luminance=True)
