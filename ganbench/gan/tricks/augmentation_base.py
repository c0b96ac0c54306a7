"""Helpers of tricks on images: refusals of other data, mirroring, and whole-pixel shifts.

A clip is changed as one image whose channels are its frames' channels, so all frames change alike.
"""

from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from ganbench.data.modality import CLIPS, modality_of_shape, refuse_other_than_images
from ganbench.gan.batch_slices import draw_rows
from ganbench.gan.build_config import BuildConfig

from .compatibility import scored_shapes


def refuse_non_images(trick: str, config: BuildConfig) -> str | None:
    """Returns the reason why a trick on images cannot be used on this data, or None."""
    shapes = config.shapes.values()
    refusals = (refuse_other_than_images(f"{trick} needs images", shape) for shape in shapes)
    return next(filter(None, refusals), None)


def refuse_colours_of_pairs(trick: str, remedy: str, config: BuildConfig) -> str | None:
    """Returns the reason why colours cannot be changed, or None.

    In an input beside its target, the mean over channels mixes two images.
    """
    pairs = zip(scored_shapes(config), config.shapes.values(), strict=True)
    if all(scored[0] == own[0] for scored, own in pairs):
        return None
    return f"{trick} changes the colours of one image, and discriminators score pairs of images: {remedy}"


def refuse_without_pixels(trick: str, config: BuildConfig) -> str | None:
    """Returns the reason why a trick on images and clips cannot be used on this data, or None."""
    if all(modality_of_shape(shape) is CLIPS for shape in config.shapes.values()):
        return None
    return refuse_non_images(trick, config)


def choose_examples(x: Tensor, share: float, random: torch.Generator) -> Tensor:
    """Chooses each example with the probability `share`: [N, ...] => booleans [N]."""
    return draw_rows(torch.rand, (len(x),), generator=random, device=x.device) < share


def flip_chosen(x: Tensor, chosen: Tensor) -> Tensor:
    """Mirrors chosen examples left to right: [N, ..., W], booleans [N] => [N, ..., W]."""
    return torch.where(chosen.view(-1, *[1] * (x.ndim - 1)), x.flip(-1), x)


def shift_images(
    x: Tensor, share: float, padding: Literal["constant", "reflect"], random: torch.Generator
) -> Tensor:
    """Shifts each image by whole pixels, up to a share of its sides.

    `padding` fills the border with zeros (`constant`) or with the mirror image (`reflect`).
    """
    if x.ndim == 5:
        return shift_images(x.flatten(1, 2), share, padding, random).reshape(x.shape)
    most = [int(share * side + 0.5) for side in x.shape[2:]]
    padded = pad(x, (most[1], most[1], most[0], most[0]), padding)
    rows, columns = (
        draw_rows(
            partial(torch.randint, 2 * far + 1), (len(x), 1), generator=random, device=x.device
        )
        + torch.arange(side, device=x.device)
        for far, side in zip(most, x.shape[2:], strict=True)
    )  # [N, H], [N, W]
    number = torch.arange(len(x), device=x.device)[:, None, None]
    places = padded.movedim(1, 3)[number, rows[:, :, None], columns[:, None]]
    return places.movedim(3, 1)  # [N, H, W, C] => [N, C, H, W]
