"""Frequency separation (Fritsche et al., 2019): the discriminator sees low and high frequencies apart.

Low is the mean of `kernel` pixels around each, high is the rest, beside each other as channels. The paper
shows its discriminator the high band alone, as super-resolution has the low one from elsewhere.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ganbench.gan.build_config import BuildConfig

from .augmentation_base import refuse_non_images
from .base import Trick


class FrequencySeparation(Trick):
    phase = "bands"

    def __init__(self, kernel: int = 5):
        super().__init__()
        if kernel < 3 or kernel % 2 == 0:
            raise ValueError(f"the kernel must be odd and at least 3, not {kernel}")
        self.kernel = kernel

    def incompatibility(self, config: BuildConfig) -> str | None:
        return refuse_non_images("frequency separation", config)

    def transform_discriminator_input(
        self, x: Tensor, role: str
    ) -> Tensor:  # [N, C, H, W] => [N, 2 * C, H, W]
        low = avg_pool2d(x, self.kernel, 1, self.kernel // 2, count_include_pad=False)
        return torch.cat([low, x - low], 1)
