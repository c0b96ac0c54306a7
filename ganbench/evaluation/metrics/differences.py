"""What metrics that compare images one by one share: pairs of stored images, and the mean over them."""

from collections.abc import Callable

import torch
from torch import Tensor

from .base import Measurement, mean_measurement

MAX_PIXELS_AT_ONCE = 2**22  # pixels that are compared at a time


def mean_over_pairs(
    x: Tensor | None, y: Tensor | None, compared: Callable[[Tensor, Tensor], Tensor]
) -> Measurement:
    """The mean over pairs of images [N, C, H, W] in 0 to 255, and its standard error.

    `compared` maps float64 images, some at a time, to a number for each pair.
    """
    assert x is not None
    assert y is not None
    count = max(1, MAX_PIXELS_AT_ONCE // x[0].numel())
    parts = zip(x.split(count), y.to(x.device).split(count), strict=True)
    return mean_measurement(torch.cat([compared(a.double(), b.double()) for a, b in parts]))


def mean_absolute_difference(x: Tensor, y: Tensor) -> Tensor:
    """The mean absolute difference of each pair, in [0, 1]: [N]."""
    return (x - y).abs().flatten(1).mean(1) / 255


def mean_squared_difference(x: Tensor, y: Tensor) -> Tensor:
    """The mean squared difference of each pair, in [0, 1]: [N]."""
    return (x - y).square().flatten(1).mean(1) / 255**2
