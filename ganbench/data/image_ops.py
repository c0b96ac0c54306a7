"""Squares: what of an image is kept is the largest square at its centre, resized with an antialiasing filter.

Pillow's Lanczos filter widens with the reduction, so that nothing aliases (Parmar et al., 2022), and
computes 8-bit images in whole numbers: the same bytes on every machine.
"""

from collections.abc import Iterable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

MIN_IMAGE_SIDE_PIXELS = 8  # pixels a side, that any network here makes


def stack_squares(images: Iterable[Image.Image], count: int, shape: tuple[int, ...]) -> Tensor:
    """So many images as uint8 [count, C, size, size]; of a set that fills memory there is no second copy."""
    pixels = torch.empty(count, *shape, dtype=torch.uint8)
    for target, image in zip(pixels, images, strict=True):
        target.copy_(crop_and_resize(image, shape[0], shape[1]))
    return pixels


def crop_and_resize(
    image: Image.Image, channels: int, size: int
) -> Tensor:  # => uint8 [C, size, size]
    side = min(image.size)
    left, top = ((extent - side) // 2 for extent in image.size)
    cropped = image.convert("RGB" if channels == 3 else "L").crop(
        (left, top, left + side, top + side)
    )
    resized = np.array(cropped.resize((size, size), Image.Resampling.LANCZOS))
    return torch.from_numpy(resized).view(size, size, channels).permute(2, 0, 1)


def check_image_size(size: int, largest: int) -> int:
    """The size, if it is one that the images have pixels for."""
    if not MIN_IMAGE_SIDE_PIXELS <= size <= largest:
        raise ValueError(f"size must lie in [{MIN_IMAGE_SIDE_PIXELS}, {largest}], not {size}")
    return size
