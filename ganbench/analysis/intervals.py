"""Means and intervals over seeds, on the scale that a metric declares."""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

CONFIDENCE_LEVEL = 0.95
MAX_EXPONENT = math.log(sys.float_info.max)


@dataclass(frozen=True)
class TransformScale:
    """A transform to the scale on which a metric is averaged, and its inverse."""

    to: Callable[[float], float]
    back: Callable[[float], float]


def _logit(p: float) -> float:
    inside = min(max(p, 1e-4), 1 - 1e-4)  # shares of 0 and 1 come from finite samples
    return math.log(inside / (1 - inside))


def _exp(y: float) -> float:
    """Returns e to the y, or infinity: intervals of two seeds may exceed all floats."""
    return math.inf if y > MAX_EXPONENT else math.exp(y)  # NaN stays NaN


SCALES = {
    "none": TransformScale(float, float),
    "log": TransformScale(lambda x: math.log(max(x, 1e-12)), _exp),
    "logit": TransformScale(_logit, lambda y: 1 / (1 + _exp(-y))),
}


def is_improvement(change: float, direction: str, no_change: float = 0.0) -> bool:
    """Returns whether a change is towards the better direction, `lower` or `higher`.

    No change and NaN are no improvement.
    """
    return change < no_change if direction == "lower" else change > no_change


def ratio_or_difference(value: float, transform: str) -> float:
    """Returns a change as a ratio if the scale is logarithmic, else unchanged."""
    return SCALES[transform].back(value) if transform == "log" else value


@dataclass(frozen=True)
class MeanInterval:
    """A mean and its confidence interval; `low` and `high` are NaN for a single value."""

    mean: float
    low: float
    high: float
    count: int


@lru_cache(maxsize=1024)
def t_quantile(share: float, freedom: float) -> float:
    """Returns a quantile of Student's t; scipy takes longer for it than for all else here."""
    return float(stats.t.ppf(share, freedom))


def t_interval(
    values: Sequence[float], transform: str = "none", level: float = CONFIDENCE_LEVEL
) -> MeanInterval:
    """Computes Student's t interval on the transformed scale, and transforms it back.

    On a logarithmic scale the mean is the geometric mean. With so few seeds, a bootstrap interval would
    be wrong.
    """
    scale, count = SCALES[transform], len(values)
    if count == 0:
        return MeanInterval(math.nan, math.nan, math.nan, 0)
    if min(values) == max(values):  # returned unchanged, also a share of 0
        single = math.nan if count == 1 else values[0]
        return MeanInterval(values[0], single, single, count)
    transformed = np.array([scale.to(value) for value in values])
    mean = float(transformed.mean())
    half = float(
        t_quantile((1 + level) / 2, count - 1) * transformed.std(ddof=1) / math.sqrt(count)
    )
    return MeanInterval(scale.back(mean), scale.back(mean - half), scale.back(mean + half), count)
