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

RANGES = {"0,1": (0.0, 1.0), "-1,1": (-1.0, 1.0), "0,255": (0.0, 255.0)}
AUTO = "auto"
SLACK = 1e-3  # by how much rounding in half precision may leave a range
CHANNELS = (1, 3)


@dataclass(frozen=True)
class Span:
    """The least and the greatest of an array's values."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.3g} to {self.high:.3g}"


def span_of(rows: Tensor, name: str) -> Span:
    """Raises Unreadable if some values are not finite."""
    if bad := int((~rows.isfinite()).flatten(1).any(1).sum()):
        raise Unreadable(f"{name}: {bad} of {len(rows)} images hold values that are not finite")
    return Span(float(rows.min()), float(rows.max()))


def range_of(span: Span, named: str, name: str) -> str:
    """Which of the ranges floats of this span are in; raises Unreadable if none is sure."""
    if named != AUTO:
        return named
    guessed = "0,1" if span.low >= 0 else "-1,1"
    low, high = RANGES[guessed]
    if low - SLACK <= span.low and span.high <= high + SLACK:
        return guessed
    raise Unreadable(
        f"{name} holds floats from {span}, which lie neither in [0, 1] nor in [-1, 1]: "
        "name their range by --range 0,1 or -1,1 or 0,255, and they are clamped to it"
    )


def as_bytes(rows: Tensor, named: str) -> Tensor:
    """Floats of a named range as uint8: scaled, rounded to the nearest, clamped."""
    low, high = RANGES[named]
    scaled = (rows.float() - low) * (255 / (high - low))
    return scaled.round().clamp(0, 255).to(torch.uint8)


def channels_first(shape: Sequence[int], name: str) -> bool | None:
    """Are images [N, C, H, W]? False if they are [N, H, W, C], None if [N, H, W].

    The second axis is that of the channels if it has 1 or 3 entries, or else the last.
    """
    if len(shape) == 3:
        return None
    if len(shape) == 4 and shape[1] in CHANNELS:
        return True
    if len(shape) == 4 and shape[3] in CHANNELS:
        return False
    raise Unreadable(
        f"{name} has the shape {list(shape)}: images are [N, C, H, W] or [N, H, W, C] with 1 or 3 "
        "channels, or [N, H, W]"
    )


def arranged(rows: Tensor, name: str) -> Tensor:
    """Images as [N, C, H, W]."""
    first = channels_first(rows.shape, name)
    if first is None:
        return rows[:, None]
    return rows if first else rows.permute(0, 3, 1, 2)


def check_dtype(rows: Tensor, name: str) -> None:
    if rows.dtype != torch.uint8 and not rows.is_floating_point():
        raise Unreadable(
            f"{name} holds {dtype_name(rows)}: images are uint8 from 0 to 255, or floats in [0, 1] or [-1, 1]"
        )
