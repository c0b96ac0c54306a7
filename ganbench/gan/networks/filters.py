"""Bilinear resampling (Zhang, 2019; Karras et al., 2019): maps are doubled and halved through [1, 3, 3, 1].

That is StyleGAN's [1, 2, 1] after copying each pixel, or before averaging them, and StyleGAN2's filter by
name. At borders, where the papers see zeros, it is renormalized, so that constant maps stay constant.
"""

from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate


def upsample_bilinear(x: Tensor) -> Tensor:  # [N, C, H, W] => [N, C, 2 * H, 2 * W]
    """Each new pixel takes 3/4 of the nearest old one, on each axis, and 1/4 of the next."""
    return interpolate(x, scale_factor=2, mode="bilinear")


def downsample_bilinear(x: Tensor) -> Tensor:  # [N, C, H, W] => [N, C, H / 2, W / 2]
    return interpolate(x, scale_factor=0.5, mode="bilinear", antialias=True)


def upsample_nearest(x: Tensor) -> Tensor:
    """Each pixel as four: ProGAN's way up."""
    return interpolate(x, scale_factor=2, mode="nearest")


def downsample_mean(x: Tensor) -> Tensor:
    """Four pixels as one: ProGAN's way down."""
    return avg_pool2d(x, 2)
