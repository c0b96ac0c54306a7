"""Simulates the detector's false alarm rates, detection rates and detection delays.

`python -m ganbench.ci.history.detector_error_rates` uses fixed seeds and takes about 20 seconds:

    noise of 5 %   flat: 15 points    30    60
    normal         alarms:     2.5%    1.8%    1.7%
    t(3)           alarms:     2.2%    2.4%    3.1%
    drifting       alarms:    17.5%   36.5%   60.5%
    30 points, then a step of  5 %   10 %   20 %
    normal     found within 12:   37%    92%   100%
    normal     points, median:    13      4      3
    t(3)       found within 12:   60%    99%   100%
    t(3)       points, median:    10      3      2

A change point is therefore a hint, not a gate. A monitor tests
a series again after each point from the 30th to the 60th. With normal noise, 14 % of flat series then
raise an alarm at some time. If the noise becomes
three times as large at a constant level, 35 % raise an alarm. A squared error instead of the kernel, at
penalties of 12 to 16 times the variance, finds steps no sooner. On 60 flat points it raises alarms in
3 to 1 % of the series with normal noise, and in 28 to 18 % with t(3).
"""

import sys
from collections.abc import Callable, Iterator
from statistics import median

import numpy as np

from .change_points import Values, find_change_points

RELATIVE_NOISE = 0.05  # standard deviation, relative to the level
BEFORE, WITHIN = 30, 12  # points before a step, and points after it for its detection
MAX_PLACE_ERROR = 2  # maximum distance between a step and its change point, in points
Draw = Callable[[np.random.Generator, int], Values]


def draw_normal_noise(rng: np.random.Generator, count: int) -> Values:
    return rng.standard_normal(count)


def draw_heavy_tailed_noise(rng: np.random.Generator, count: int) -> Values:
    """Draws from Student's t with 3 degrees of freedom, scaled to standard deviation 1."""
    return rng.standard_t(3, count) / np.sqrt(3)


def draw_drifting_noise(rng: np.random.Generator, count: int) -> Values:
    """Draws noise with half of its variance from a slow AR(1) drift (coefficient 0.8).

    This violates the detector's assumption of independent noise.
    """
    drift, steps = rng.standard_normal(count), rng.standard_normal(count)
    for n in range(1, count):
        drift[n] = 0.8 * drift[n - 1] + 0.6 * steps[n]
    return (drift + rng.standard_normal(count)) / np.sqrt(2)


NOISE_DRAWS: dict[str, Draw] = {
    "normal": draw_normal_noise,
    "t(3)": draw_heavy_tailed_noise,
    "drifting": draw_drifting_noise,
}


def draw_series(rng: np.random.Generator, draw: Draw, count: int, step: float = 0.0) -> Values:
    """Draws a positive series around 1, and around 1 + step after the first BEFORE points."""
    level = np.where(np.arange(count) < BEFORE, 1.0, 1.0 + step)
    return level * np.maximum(1 + RELATIVE_NOISE * draw(rng, count), 0.05)


def false_alarm_share(draw: Draw, count: int, times: int, seed: int = 0) -> float:
    """Returns the share of flat series with at least one change point."""
    rng = np.random.default_rng(seed)
    return (
        sum(bool(find_change_points(draw_series(rng, draw, count))) for _ in range(times)) / times
    )


def detection_delays(draw: Draw, step: float, times: int, seed: int = 1) -> list[int | None]:
    """Returns the detection delay of each series, in points of the new level; None if missed."""
    rng = np.random.default_rng(seed)
    return [detection_delay(draw_series(rng, draw, BEFORE + WITHIN, step)) for _ in range(times)]


def detection_delay(values: Values) -> int | None:
    for after in range(1, WITHIN + 1):
        if any(
            abs(place - BEFORE) <= MAX_PLACE_ERROR
            for place in find_change_points(values[: BEFORE + after])
        ):
            return after
    return None


def error_rate_table(times: int) -> Iterator[str]:
    yield "noise of 5 %   flat: 15 points    30    60"
    for name, draw in NOISE_DRAWS.items():
        shares = (f"{false_alarm_share(draw, count, times):6.1%}" for count in (15, 30, 60))
        yield f"{name:<14} alarms:   {'  '.join(shares)}"
    yield f"{BEFORE} points, then a step of  5 %   10 %   20 %"
    for name in ("normal", "t(3)"):
        delays = [
            detection_delays(NOISE_DRAWS[name], step, times // 4) for step in (0.05, 0.1, 0.2)
        ]
        shares = (f"{1 - each.count(None) / len(each):5.0%}" for each in delays)
        yield f"{name:<10} found within {WITHIN}: {'  '.join(shares)}"
        soon = (f"{median(d or WITHIN + 1 for d in each):5.0f}" for each in delays)
        yield f"{name:<10} points, median: {'  '.join(soon)}"


if __name__ == "__main__":
    for line in error_rate_table(int(sys.argv[1]) if sys.argv[1:] else 2000):
        print(line, flush=True)
