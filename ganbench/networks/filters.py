"""Bilinear resampling (Zhang, 2019; Karras et al., 2019): maps are doubled and halved through [1, 3, 3, 1].

That is StyleGAN's [1, 2, 1] after copying each pixel, or before averaging them, and StyleGAN2's filter by
name. Borders repeat, so that constant maps stay constant.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate, pad

TAPS = (1.0, 3.0, 3.0, 1.0)


def doubled(x: Tensor) -> Tensor:  # [N, C, H, W] => [N, C, 2 * H, 2 * W]
    """Each new pixel lies a quarter from the nearest old one, and takes 3/4 of it on each axis."""
    return interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def halved(x: Tensor) -> Tensor:  # [N, C, H, W] => [N, C, H / 2, W / 2]
    taps = torch.tensor(TAPS, dtype=x.dtype, device=x.device) / sum(TAPS)
    single = pad(x.flatten(0, 1)[:, None], (1, 1, 1, 1), mode="replicate")  # one channel each
    return conv2d(single, torch.outer(taps, taps)[None, None], stride=2).view(
        *x.shape[:2], x.shape[2] // 2, x.shape[3] // 2
    )


def copied(x: Tensor) -> Tensor:
    """Each pixel as four: ProGAN's way up."""
    return interpolate(x, scale_factor=2, mode="nearest")


def averaged(x: Tensor) -> Tensor:
    """Four pixels as one: ProGAN's way down."""
    return avg_pool2d(x, 2)
