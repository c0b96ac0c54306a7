"""Frequency separation (Fritsche et al., 2019): low and high bands as separate channels.

The low band is the mean over `kernel` x `kernel` pixels, and the high band is the rest. The paper's
discriminator receives only the high band, because in super-resolution the low band comes from the
input.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ganbench.gan.build_config import BuildConfig

from .augmentation_base import refuse_without_pixels
from .base import Trick


class FrequencySeparation(Trick):
    works_on_slices = True
    phase = "bands"

    def __init__(self, kernel: int = 5):
        super().__init__()
        if kernel < 3 or kernel % 2 == 0:
            raise ValueError(f"the kernel must be odd and at least 3, not {kernel}")
        self.kernel = kernel

    def incompatibility(self, config: BuildConfig) -> str | None:
        return refuse_without_pixels("frequency separation", config)

    def transform_discriminator_input(
        self, x: Tensor, role: str
    ) -> Tensor:  # [N, C, ..., H, W] => [N, 2 * C, ..., H, W]
        planes = x.flatten(1, -3)  # a clip's frames are blurred one by one
        low = avg_pool2d(planes, self.kernel, 1, self.kernel // 2, count_include_pad=False)
        low = low.view(x.shape)
        return torch.cat([low, x - low], 1)
