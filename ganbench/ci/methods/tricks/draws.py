"""Hand-made points of the checks of tricks, and means of draws."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ..base import MAX_STANDARD_ERRORS
from ..hand_made_batch import draw_normal

WEIGHTS = torch.tensor([0.6, -0.8, 2.0])  # squared norm 5
MANY = 20_000  # draws of a random check


def points(seed: int) -> Tensor:
    return draw_normal(6, len(WEIGHTS), seed=seed)


def scores_of(x: Tensor) -> Tensor:
    """Returns the scores of points by the linear discriminator, in float64."""
    return x.double() @ WEIGHTS.double()


def compare_mean(what: str, draws: Tensor, expected: float) -> Iterator[str]:
    """Yields a sentence if the mean of draws differs by more than chance."""
    error = float(draws.double().std()) / math.sqrt(len(draws))
    if abs(float(draws.double().mean()) - expected) > MAX_STANDARD_ERRORS * error + 1e-6:
        yield f"{what} is {float(draws.double().mean()):.4g}, and by definition {expected:.4g}"


def share_error(share: float, count: int) -> float:
    """Returns the largest difference by chance of an observed share of `count` draws."""
    return MAX_STANDARD_ERRORS * math.sqrt(share * (1 - share) / count)
