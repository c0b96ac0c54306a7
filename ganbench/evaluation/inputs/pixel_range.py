"""Converts arrays of images to uint8 with channels first.

Integers must be uint8. Floats are read as [0, 1], or as [-1, 1] if any value is negative. Floats of
another range need `--range`, and are clamped to it. Values are rounded to the nearest of 256 levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganbench.data.image_decoding import Unreadable

from .base import dtype_name

VALUE_RANGES = {"0,1": (0.0, 1.0), "-1,1": (-1.0, 1.0), "0,255": (0.0, 255.0)}
AUTO_RANGE = "auto"
RANGE_SLACK = 1e-3  # tolerance for rounding in half precision
IMAGE_CHANNELS = (1, 3)
REMEDIES = {torch.bool: "`.astype(float)` makes it black and white"}
ONE_IMAGE_CHANNELS = (1, 3, 4)  # of an array that is a single image, perhaps with alpha


@dataclass(frozen=True)
class ValueSpan:
    """The least and the greatest value of an array."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.3g} to {self.high:.3g}"


def measure_span(rows: Tensor, name: str) -> ValueSpan:
    """Returns the span of the values; raises Unreadable if some are not finite."""
    if bad := int((~rows.isfinite()).flatten(1).any(1).sum()):
        raise Unreadable(f"{name}: {bad} of {len(rows)} images have values that are not finite")
    return ValueSpan(float(rows.min()), float(rows.max()))


def detect_range(span: ValueSpan, named: str, name: str) -> str:
    """Returns the given range or detects it from the span; raises Unreadable if that fails."""
    if named != AUTO_RANGE:
        return named
    guessed = "0,1" if span.low >= 0 else "-1,1"
    low, high = VALUE_RANGES[guessed]
    if low - RANGE_SLACK <= span.low and span.high <= high + RANGE_SLACK:
        return guessed
    raise Unreadable(
        f"{name} holds floats from {span}, neither in [0, 1] nor in [-1, 1]: "
        "pass --range 0,1 or -1,1 or 0,255 to clamp them to that range"
    )


def describe_range(named: str, span: ValueSpan | None = None) -> str:
    """Returns a note on floats: their span, if known, and the range that they are read as."""
    low, high = VALUE_RANGES[named]
    if span is None:
        return f"floats read as [{low:g}, {high:g}]"
    is_outside = span.low < low - RANGE_SLACK or span.high > high + RANGE_SLACK
    clamped = " and clamped" if is_outside else ""
    return f"floats from {span}, read as [{low:g}, {high:g}]{clamped}"


def floats_to_uint8(rows: Tensor, named: str) -> Tensor:
    """Converts floats of a range to uint8: scales, rounds to the nearest, clamps."""
    low, high = VALUE_RANGES[named]
    scaled = (rows.float() - low) * (255 / (high - low))
    return scaled.round().clamp(0, 255).to(torch.uint8)


def has_channels_first(shape: Sequence[int], name: str) -> bool | None:
    """Returns True for [N, C, H, W], False for [N, H, W, C] and None for [N, H, W].

    The second axis holds the channels if its length is 1 or 3, otherwise the last axis does. Raises
    Unreadable for any other shape, also for that of a single image.
    """
    if len(shape) == 3:
        check_several_images(shape, name)
        return None
    if len(shape) == 4 and shape[1] in IMAGE_CHANNELS:
        return True
    if len(shape) == 4 and shape[3] in IMAGE_CHANNELS:
        return False
    raise Unreadable(
        f"{name} has shape {list(shape)}: images must be [N, C, H, W] or [N, H, W, C] with 1 or 3 "
        "channels, or [N, H, W]"
    )


def check_several_images(shape: Sequence[int], name: str) -> None:
    """Raises Unreadable for [H, W, C] and [C, H, W], the shapes of one image."""
    if shape[2] in ONE_IMAGE_CHANNELS or shape[0] in IMAGE_CHANNELS:
        raise Unreadable(
            f"{name} is one image, of shape {list(shape)}: metrics need at least 10. Stack images as "
            "[N, H, W, C] or [N, C, H, W]"
        )


def arrange_channels_first(rows: Tensor, name: str) -> Tensor:
    """Returns images as [N, C, H, W]."""
    first = has_channels_first(rows.shape, name)
    if first is None:
        return rows[:, None]
    return rows if first else rows.permute(0, 3, 1, 2)


def check_pixel_dtype(rows: Tensor, name: str) -> None:
    if rows.dtype != torch.uint8 and not rows.is_floating_point():
        raise Unreadable(
            f"{name} has dtype {dtype_name(rows)}: images must be uint8 from 0 to 255, or floats in [0, 1] or "
            f"[-1, 1]; {REMEDIES.get(rows.dtype, '`.astype(numpy.uint8)` converts levels from 0 to 255')}"
        )
