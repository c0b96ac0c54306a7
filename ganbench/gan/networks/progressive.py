"""Networks that grow (Karras et al., 2018): layers for images of twice the side fade in, one level after another.

At level 0 images are 4x4, and at each whole number above twice as large. Between two, the images of both
are mixed. Generators show what they make in full size, and discriminators shrink what they are shown, so
that nothing around them has to know the level.
"""

from collections.abc import Callable, Sequence
from math import ceil

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from .filters import downsample_mean, upsample_nearest

BASE_RESOLUTION = 4  # the side of images at level 0

Layers = Sequence[Callable[[Tensor], Tensor]]  # one a level


def count_levels(side: int) -> int:
    """How often the smallest images double up to this side."""
    return (side // BASE_RESOLUTION).bit_length() - 1


class ProgressiveModule(nn.Module):
    """A part of a network that has a level; it is built grown up.

    The level is the host's, so that no step waits for the device to read it; in a state it is a tensor,
    so that checkpoints and samplers carry it.
    """

    def __init__(self, side: int):
        super().__init__()
        self.side, self.top = side, count_levels(side)
        self.level = float(self.top)

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self.level, dtype=torch.float64, device="cpu")

    def set_extra_state(self, state: Tensor) -> None:
        self.level = float(state)


def split_level(level: float) -> tuple[int, float]:
    """The level that is there in full, and the share of the next one."""
    return int(level), level % 1


def draw_at_level(level: float, side: int, blocks: Layers, to_image: Layers, x: Tensor) -> Tensor:
    """The image [N, channels, side, side] that blocks make of x; block 0 keeps its size, all others double it."""
    full_level, share = split_level(level)
    for block in blocks[: full_level + 1]:
        x = block(x)
    image = to_image[full_level](x)
    if share:
        finer = to_image[full_level + 1](blocks[full_level + 1](x))
        image = torch.lerp(upsample_nearest(image), finer, share)
    return enlarge_to(image, side)


def encode_at_level(level: float, blocks: Layers, from_image: Layers, image: Tensor) -> Tensor:
    """The maps of 4x4 that blocks make of an image, each halving its maps; the last one is that of level 1."""
    full_level, share = split_level(level)
    image = shrink_to(image, BASE_RESOLUTION << ceil(level))
    if share:
        fine, coarse = (
            from_image[full_level + 1](image),
            from_image[full_level](downsample_mean(image)),
        )
        x = torch.lerp(coarse, blocks[full_level](fine), share)
    else:
        x = from_image[full_level](image)
    for block in reversed(blocks[:full_level]):
        x = block(x)
    return x


def limit_detail(images: Tensor, level: float) -> Tensor:
    """Images in their size, with the detail that networks of this level draw: two sizes mixed between two levels."""
    full_level, share = split_level(level)
    side = images.shape[-1]
    coarse = enlarge_to(shrink_to(images, BASE_RESOLUTION << full_level), side)
    if not share:
        return coarse
    return torch.lerp(
        coarse, enlarge_to(shrink_to(images, BASE_RESOLUTION << (full_level + 1)), side), share
    )


def enlarge_to(image: Tensor, side: int) -> Tensor:
    return image if image.shape[-1] == side else interpolate(image, size=(side, side))


def shrink_to(image: Tensor, side: int) -> Tensor:
    return image if image.shape[-1] == side else avg_pool2d(image, image.shape[-1] // side)
