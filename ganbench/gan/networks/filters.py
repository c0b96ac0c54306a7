"""Bilinear resampling (Zhang, 2019; Karras et al., 2019) with the filter [1, 3, 3, 1].

It equals StyleGAN's [1, 2, 1] after copying each pixel, or before averaging pixels. StyleGAN2 uses
[1, 3, 3, 1] itself. At borders the papers pad with zeros; here the filter is renormalized, so that
constant maps stay constant.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate


def widen_bfloat16(x: Tensor) -> Tensor:
    """Returns a tensor in float32 if it is in bfloat16, else unchanged."""
    return x.float() if x.dtype == torch.bfloat16 else x


def upsample_bilinear(x: Tensor) -> Tensor:  # [N, C, H, W] => [N, C, 2 * H, 2 * W]
    """Doubles maps: 3/4 of the nearest pixel and 1/4 of the next, along each axis."""
    return interpolate(x, scale_factor=2, mode="bilinear")


def downsample_bilinear(x: Tensor) -> Tensor:  # [N, C, H, W] => [N, C, H / 2, W / 2]
    """Halves maps with the same filter, not in bfloat16, which CPUs do not filter."""
    exact = widen_bfloat16(x)
    return interpolate(exact, scale_factor=0.5, mode="bilinear", antialias=True).to(x.dtype)


class BilinearDownsample(nn.Module):
    """`downsample_bilinear` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return downsample_bilinear(x)


def upsample_nearest(x: Tensor) -> Tensor:
    """Doubles maps by copying each pixel, as in ProGAN."""
    return interpolate(x, scale_factor=2, mode="nearest")


def downsample_mean(x: Tensor) -> Tensor:
    """Halves maps by averaging squares of 2x2 pixels, as in ProGAN."""
    return avg_pool2d(x, 2)
