"""Operating characteristics of the detector: how often it errs, and how soon and often it finds a step.

`python -m ganbench.ci.history.detector_error_rates` simulates them from fixed seeds, in some 20 seconds:

    noise of 5 %   flat: 15 points    30    60
    normal         alarms:     2.5%    1.8%    1.7%
    t(3)           alarms:     2.2%    2.4%    3.1%
    drifting       alarms:    17.5%   36.5%   60.5%
    30 points, then a step of  5 %   10 %   20 %
    normal     found within 12:   37%    92%   100%
    normal     points, median:    13      4      3
    t(3)       found within 12:   60%    99%   100%
    t(3)       points, median:    10      3      2

So a trend is a hint where to look, and no gate: looked at after each point from the 30th to the 60th, a
flat series of normal noise alarms at some time in 14 %; where noise becomes three times as large and
the level stays, 35 % alarm. Squares in place of the kernel, at penalties 12 to 16 times the variance,
find steps no sooner, and alarm on 60 flat points in 3 to 1 % with normal noise, in 28 to 18 % with t(3).
"""

import sys
from collections.abc import Callable, Iterator
from statistics import median

import numpy as np

from .change_points import Values, find_change_points

RELATIVE_NOISE = 0.05  # standard deviation, of the level
BEFORE, WITHIN = 30, 12  # points before a step, and those after it that it may take
MAX_PLACE_ERROR = 2  # a step is found if a change point lies so near to it
Draw = Callable[[np.random.Generator, int], Values]


def draw_normal_noise(rng: np.random.Generator, count: int) -> Values:
    return rng.standard_normal(count)


def draw_heavy_tailed_noise(rng: np.random.Generator, count: int) -> Values:
    """Student's t with 3 degrees of freedom, of standard deviation 1."""
    return rng.standard_t(3, count) / np.sqrt(3)


def draw_drifting_noise(rng: np.random.Generator, count: int) -> Values:
    """Half of the variance is a slow drift, AR(1) with 0.8: not what the detector assumes."""
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
    """Around 1, and around 1 + step after the first BEFORE points; above 0."""
    level = np.where(np.arange(count) < BEFORE, 1.0, 1.0 + step)
    return level * np.maximum(1 + RELATIVE_NOISE * draw(rng, count), 0.05)


def false_alarm_share(draw: Draw, count: int, times: int, seed: int = 0) -> float:
    """The share of flat series in which it finds any change."""
    rng = np.random.default_rng(seed)
    return (
        sum(bool(find_change_points(draw_series(rng, draw, count))) for _ in range(times)) / times
    )


def detection_delays(draw: Draw, step: float, times: int, seed: int = 1) -> list[int | None]:
    """After how many points of the new level it finds a step, looking at each; None for not at all."""
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
