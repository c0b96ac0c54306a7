"""Sparklines: curves in the height of a line of text (Tufte, 2006)."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from ganbench.counts import format_signed

SPARKLINE_BARS = "▁▂▃▄▅▆▇█"
MAX_SPARKLINE_WIDTH = 40  # characters at most
LOGARITHMIC_METRICS = ("fid", "kid")  # drawn on a log scale if all values are above 0


def draw_sparkline(values: Sequence[float | None], width: int = MAX_SPARKLINE_WIDTH) -> str:
    """Draws one bar per value or mean of several values; values that are not finite are gaps."""
    means = pool_values(values, width)
    finite = [mean for mean in means if mean is not None]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    step = (high - low) / (len(SPARKLINE_BARS) - 1) or 1.0
    return "".join(
        " " if mean is None else SPARKLINE_BARS[round((mean - low) / step)] for mean in means
    )


def pool_values(values: Sequence[float | None], width: int) -> list[float | None]:
    """Averages neighbouring values into at most `width` groups of nearly equal size."""
    count = min(width, len(values))
    edges = [round(n * len(values) / count) for n in range(count + 1)] if count else [0]
    return [mean_of_finite(values[a:b]) for a, b in pairwise(edges)]


def mean_of_finite(values: Sequence[float | None]) -> float | None:
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return sum(finite) / len(finite) if finite else None


def curve_lines(points: Sequence[Mapping[str, Any]], leave: Sequence[str] = ()) -> list[str]:
    """Returns one line per quantity of a curve's points.

    A line has the name, the first value, the sparkline and the last value.
    """
    names = dict.fromkeys(name for point in points for name in point if name not in leave)
    return [curve_line(name, [point.get(name) for point in points]) for name in names]


def curve_line(name: str, values: Sequence[float | None]) -> str:
    finite = [value for value in values if value is not None]
    logarithmic = name.split("(")[0] in LOGARITHMIC_METRICS and min(finite, default=0.0) > 0
    drawn = [math.log(v) if v is not None and logarithmic else v for v in values]
    ends = [format_signed(value) for value in (finite[:1] + finite[-1:])] or ["", ""]
    return f"{name[:19]:<19} {ends[0]:>8} {draw_sparkline(drawn)} {ends[-1]}"
