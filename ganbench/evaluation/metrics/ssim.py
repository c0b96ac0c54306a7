"""SSIM (Wang et al., 2004): how alike fakes look to what they should be, averaged over images.

Windows of eleven pixels with a Gaussian of 1.5, or of as many as a smaller image has; at the border
pixels are mirrored, as torchmetrics does it.
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
