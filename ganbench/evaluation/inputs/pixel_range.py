"""Levels: arrays of bytes or floats, channels first or last, as the bytes that are measured.

Whole numbers must be uint8. Floats lie in [0, 1], or in [-1, 1] where any is below zero; others need
their range to be named, and are then clamped to it. Levels are rounded to the nearest of 256.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganbench.data.image_decoding import Unreadable

from .base import dtype_name

VALUE_RANGES = {"0,1": (0.0, 1.0), "-1,1": (-1.0, 1.0), "0,255": (0.0, 255.0)}
AUTO_RANGE = "auto"
RANGE_SLACK = 1e-3  # by how much rounding in half precision may leave a range
IMAGE_CHANNELS = (1, 3)


@dataclass(frozen=True)
class ValueSpan:
    """The least and the greatest of an array's values."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.3g} to {self.high:.3g}"


def measure_span(rows: Tensor, name: str) -> ValueSpan:
    """Raises Unreadable if some values are not finite."""
    if bad := int((~rows.isfinite()).flatten(1).any(1).sum()):
        raise Unreadable(f"{name}: {bad} of {len(rows)} images hold values that are not finite")
    return ValueSpan(float(rows.min()), float(rows.max()))


def detect_range(span: ValueSpan, named: str, name: str) -> str:
    """Which of the ranges floats of this span are in; raises Unreadable if none is sure."""
    if named != AUTO_RANGE:
        return named
    guessed = "0,1" if span.low >= 0 else "-1,1"
    low, high = VALUE_RANGES[guessed]
    if low - RANGE_SLACK <= span.low and span.high <= high + RANGE_SLACK:
        return guessed
    raise Unreadable(
        f"{name} holds floats from {span}, which lie neither in [0, 1] nor in [-1, 1]: "
        "name their range by --range 0,1 or -1,1 or 0,255, and they are clamped to it"
    )


def floats_to_uint8(rows: Tensor, named: str) -> Tensor:
    """Floats of a named range as uint8: scaled, rounded to the nearest, clamped."""
    low, high = VALUE_RANGES[named]
    scaled = (rows.float() - low) * (255 / (high - low))
    return scaled.round().clamp(0, 255).to(torch.uint8)


def has_channels_first(shape: Sequence[int], name: str) -> bool | None:
    """Are images [N, C, H, W]? False if they are [N, H, W, C], None if [N, H, W].

    The second axis is that of the channels if it has 1 or 3 entries, or else the last.
    """
    if len(shape) == 3:
        return None
    if len(shape) == 4 and shape[1] in IMAGE_CHANNELS:
        return True
    if len(shape) == 4 and shape[3] in IMAGE_CHANNELS:
        return False
    raise Unreadable(
        f"{name} has the shape {list(shape)}: images are [N, C, H, W] or [N, H, W, C] with 1 or 3 "
        "channels, or [N, H, W]"
    )


def arrange_channels_first(rows: Tensor, name: str) -> Tensor:
    """Images as [N, C, H, W]."""
    first = has_channels_first(rows.shape, name)
    if first is None:
        return rows[:, None]
    return rows if first else rows.permute(0, 3, 1, 2)


def check_pixel_dtype(rows: Tensor, name: str) -> None:
    if rows.dtype != torch.uint8 and not rows.is_floating_point():
        raise Unreadable(
            f"{name} holds {dtype_name(rows)}: images are uint8 from 0 to 255, or floats in [0, 1] or [-1, 1]"
        )
