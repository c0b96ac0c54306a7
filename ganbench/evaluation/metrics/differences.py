"""Means over pairs of stored images, for the metrics that compare images one by one."""

from collections.abc import Callable

import torch
from torch import Tensor

from .base import Measurement, mean_measurement

MAX_PIXELS_AT_ONCE = 2**22  # values of one side in memory at once


def mean_over_pairs(
    x: Tensor | None, y: Tensor | None, compared: Callable[[Tensor, Tensor], Tensor]
) -> Measurement:
    """Returns the mean over pairs of images [N, C, H, W] in 0 to 255, with its standard error.

    `compared` maps two batches of float64 images to a number per pair [n].
    """
    assert x is not None
    assert y is not None
    count = max(1, MAX_PIXELS_AT_ONCE // x[0].numel())
    parts = zip(x.split(count), y.to(x.device).split(count), strict=True)
    return mean_measurement(torch.cat([compared(a.double(), b.double()) for a, b in parts]))


def mean_absolute_difference(x: Tensor, y: Tensor) -> Tensor:
    """Returns the mean absolute difference of each pair, in [0, 1]: [N]."""
    return (x - y).abs().flatten(1).mean(1) / 255


def mean_squared_difference(x: Tensor, y: Tensor) -> Tensor:
    """Returns the mean squared difference of each pair, in [0, 1]: [N]."""
    return (x - y).square().flatten(1).mean(1) / 255**2
