"""Progressive networks (Karras et al., 2018): layers for larger images fade in by levels.

Images are 4x4 at level 0, and every level doubles their side. Between two levels, the images of
both are mixed. Generators enlarge their images to full size, and discriminators shrink their input.
So other code does not depend on the level.
"""

from collections.abc import Callable, Sequence
from math import ceil

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from .filters import downsample_mean, upsample_nearest

BASE_RESOLUTION = 4  # the side of images at level 0

Layers = Sequence[Callable[[Tensor], Tensor]]  # one per level


def count_levels(side: int) -> int:
    """Returns how often the smallest images double up to a side."""
    return (side // BASE_RESOLUTION).bit_length() - 1


class ProgressiveModule(nn.Module):
    """A part of a network with a level, built at full size.

    The level is a Python number, so that no step waits for the device to read it. The state stores
    it as a tensor, so that checkpoints and samplers contain it.
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
    """Returns the level that is fully active, and the share of the next one."""
    return int(level), level % 1


def draw_at_level(level: float, side: int, blocks: Layers, to_image: Layers, x: Tensor) -> Tensor:
    """Computes an image [N, channels, side, side] from x at a level.

    Block 0 keeps the size of its maps; all others double it.
    """
    full_level, share = split_level(level)
    for block in blocks[: full_level + 1]:
        x = block(x)
    image = to_image[full_level](x)
    if share:
        finer = to_image[full_level + 1](blocks[full_level + 1](x))
        image = torch.lerp(upsample_nearest(image), finer, share)
    return enlarge_to(image, side)


def encode_at_level(level: float, blocks: Layers, from_image: Layers, image: Tensor) -> Tensor:
    """Computes maps of 4x4 from an image at a level.

    Every block halves its maps. `blocks[0]` reads the maps of level 1 and runs last.
    """
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
    """Returns images in their size, with only the detail that networks of a level draw.

    Between two levels, the images of both are mixed.
    """
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
