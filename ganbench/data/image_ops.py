"""Crops images to their largest central square and resizes them with antialiasing.

Pillow's Lanczos filter widens with the reduction factor, which prevents aliasing (Parmar et al., 2022).
It computes 8-bit images in integers, so the result has the same bytes on every machine.
"""

from collections.abc import Iterable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

MIN_IMAGE_SIDE_PIXELS = 8  # pixels: the smallest images of any network here
IMAGES_AT_ONCE = 5_000  # that are resized by area


def stack_squares(images: Iterable[Image.Image], count: int, shape: tuple[int, ...]) -> Tensor:
    """Crops and resizes images into one uint8 tensor [count, C, size, size], in place."""
    pixels = torch.empty(count, *shape, dtype=torch.uint8)
    for target, image in zip(pixels, images, strict=True):
        target.copy_(crop_and_resize(image, shape[0], shape[1]))
    return pixels


def crop_and_resize(image: Image.Image, channels: int, size: int) -> Tensor:
    """Returns the largest central square of an image as uint8 [channels, size, size]."""
    side = min(image.size)
    left, top = ((extent - side) // 2 for extent in image.size)
    cropped = image.convert("RGB" if channels == 3 else "L").crop(
        (left, top, left + side, top + side)
    )
    resized = np.array(cropped.resize((size, size), Image.Resampling.LANCZOS))
    return torch.from_numpy(resized).view(size, size, channels).permute(2, 0, 1)


def check_image_size(size: int, largest: int) -> int:
    """Returns the size in pixels; raises ValueError if it is not in [8, largest]."""
    if not MIN_IMAGE_SIDE_PIXELS <= size <= largest:
        raise ValueError(f"size must be in [{MIN_IMAGE_SIDE_PIXELS}, {largest}], not {size}")
    return size


def resize_by_area(images: Tensor, side: int) -> Tensor:
    """Resizes square images, uint8 [N, 1, H, H], by the mean area under each new pixel.

    Weights and sums are whole numbers, so the result is the same on every machine.
    """
    weights, old = area_weights(images.shape[2], side).double(), images.shape[2]
    parts = (weights @ part.double() @ weights.T for part in images.split(IMAGES_AT_ONCE))
    return torch.cat([((x.long() + old**2 // 2) // old**2).to(torch.uint8) for x in parts])


def area_weights(old: int, new: int) -> Tensor:
    """Returns the overlap of each new pixel with each old one, in parts of 1 / new."""
    begins, starts = old * torch.arange(new)[:, None], new * torch.arange(old)[None]
    end, stop = begins + old, starts + new
    return (torch.minimum(end, stop) - torch.maximum(begins, starts)).clamp(min=0)
