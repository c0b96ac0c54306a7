"""Means and intervals over seeds, on the scale that a metric declares."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True)
class Scale:
    """To the scale on which a metric is averaged, and back."""

    to: Callable[[float], float]
    back: Callable[[float], float]


def _logit(p: float) -> float:
    inside = min(max(p, 1e-4), 1 - 1e-4)  # shares of 0 and 1 come from finite samples
    return math.log(inside / (1 - inside))


SCALES = {
    "none": Scale(float, float),
    "log": Scale(lambda x: math.log(max(x, 1e-12)), math.exp),
    "logit": Scale(_logit, lambda y: 1 / (1 + math.exp(-y))),
}


@dataclass(frozen=True)
class Interval:
    """A mean and what it may be at the stated level; no interval from a single value."""

    mean: float
    low: float
    high: float
    count: int


def t_interval(values: Sequence[float], transform: str = "none", level: float = LEVEL) -> Interval:
    """Student's interval of the mean on the transformed scale, given back on the metric's own.

    On a logarithmic scale the mean is the geometric one. Bootstrap would be wrong for so few seeds.
    """
    scale, count = SCALES[transform], len(values)
    if count == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    if min(values) == max(values):  # shown as it is, a share of 0 too
        single = math.nan if count == 1 else values[0]
        return Interval(values[0], single, single, count)
    there = np.array([scale.to(value) for value in values])
    mean = float(there.mean())
    half = float(stats.t.ppf((1 + level) / 2, count - 1) * there.std(ddof=1) / math.sqrt(count))
    return Interval(scale.back(mean), scale.back(mean - half), scale.back(mean + half), count)
