"""Detection: what went wrong in a training, and since which step, from its learning curve alone.

A flag holds from its step to the end: a collapse, or a discriminator that dominates, from which the
training recovered is none. The step is that of the first loss record, or score, that shows it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal

FLAG_NAMES = ("collapse", "oscillation", "won", "diverged")

MIN_DOMINANT_ACCURACY = 0.99  # of pairs: normal scores of equal spread lie 3.3 deviations apart
MIN_LASTING_SHARE = (
    0.1  # of the training, at the least, is how long a dominant discriminator has dominated
)
MIN_LOOKS = 3  # at the least, for the same: one loss record alone may be a few steps

MIN_SERIES_LENGTH = 20  # loss records below which no cycle is reported
MIN_CYCLE_PERIODS = 3.5  # at the least, of a cycle: what has fewer is taken for a trend
MIN_LOOKS_PER_PERIOD = 3  # at the least: loss records are means, in which faster cycles vanish
MIN_SPECTRAL_PROMINENCE = (
    18.0  # times the power of noise there: at most 1 in 100 series of noise have as much
)
MIN_EXPLAINED_SHARE = 0.25  # of the variance is the cycle's, at the least
CYCLE_START_SHARES = (0.0, 0.25, 0.5)  # of the training, left out: a cycle may begin late

Numbers = NDArray[np.float64]
Points = Sequence[Mapping[str, Any]]  # the rows of one part of a curve


def detect_flags(
    curve: Mapping[str, Any], result: Mapping[str, Any], share: float
) -> dict[str, int]:
    """The flags of a trial with the step of each, from the content of curve.json and result.json.

    Collapsed is what watches below this share of what held-out data score.
    """
    losses = curve.get("losses", ())
    steps = {
        "collapse": detect_collapse(curve.get("scores", ()), curve.get("floor", {}), share),
        "oscillation": detect_oscillation(losses),
        "won": detect_discriminator_dominance(losses),
        "diverged": result.get("step"),
    }
    return {name: step for name, step in steps.items() if step is not None}


def detect_collapse(scores: Points, floor: Mapping[str, float], share: float) -> int | None:
    """Since when any watched metric has been below its share of the floor.

    The first score of all, if it never was above: then the generator has not collapsed but never
    learned.
    """
    steps = [since_below(scores, metric, share * level) for metric, level in floor.items()]
    return min((step for step in steps if step is not None), default=None)


def since_below(scores: Points, metric: str, least: float) -> int | None:
    """The step of the first score of those at the end that are all below."""
    begun = None
    for point in scores:
        if point.get(metric) is not None:
            below = point[metric] < least
            begun = (begun or int(point["step"])) if below else None
    return begun


def detect_discriminator_dominance(losses: Points) -> int | None:
    """The step since which the discriminator has separated nearly all pairs of a real and a fake.

    Pair accuracy depends on the order of scores alone, so it means the same on every loss's scale.
    """
    width, pair_accuracy = resample_evenly(losses, "told_apart")
    missed = np.flatnonzero(pair_accuracy < MIN_DOMINANT_ACCURACY)
    first = int(missed[-1]) + 1 if len(missed) else 0
    lasted = len(pair_accuracy) - first
    if lasted < max(MIN_LOOKS, MIN_LASTING_SHARE * len(pair_accuracy)):
        return None
    return (first + 1) * width


def detect_oscillation(losses: Points) -> int | None:
    """Since when the mean score of fakes has cycled."""
    width, score = resample_evenly(losses, "fake_score")
    for share in CYCLE_START_SHARES:
        start = int(share * len(score))
        if (begun := find_cycle_start(score[start:])) is not None:
            return (start + begun + 1) * width
    return None


def resample_evenly(losses: Points, name: str) -> tuple[int, Numbers]:
    """The steps between loss records, and the mean of a term over every so many steps.

    Losses are recorded at even distances and whenever there is a score: the latter are merged.
    """
    points = [(row["step"], row[name]) for row in losses if row.get(name) is not None]
    if not points:
        return 0, np.empty(0)
    steps, values = np.array(points, dtype=float).T
    gaps = np.diff(steps, prepend=0.0)
    width, sums = int(gaps.max()), np.cumsum(values * gaps)
    ends = np.arange(0, steps[-1] + 1, width)
    return width, np.diff(np.interp(ends, [0.0, *steps], [0.0, *sums])) / width


def find_cycle_start(series: Numbers) -> int | None:
    """The place at which a lasting cycle begins, or None: a spectral line far above red noise.

    Red noise is what remembers its last value (AR(1), as in Schulz and Mudelsee, 2002), white noise
    included. It is fitted to what the cycle leaves: a cycle in it would raise its own background.
    """
    if len(series) < MIN_SERIES_LENGTH:
        return None
    plain = signal.detrend(series)
    if plain.std() <= 1e-9 * np.abs(series).max():  # a straight line, but for rounding
        return None
    frequency, power = find_spectral_line(plain)
    rest = plain - fit_sine(plain, frequency)
    stands_out = power > MIN_SPECTRAL_PROMINENCE * red_noise_power(rest, frequency)
    if not stands_out or rest.var() > (1 - MIN_EXPLAINED_SHARE) * plain.var():
        return None
    return estimate_onset(plain, frequency)


def find_spectral_line(plain: Numbers) -> tuple[float, float]:
    """The frequency, in cycles per loss record, that stands out most over red noise, and its power."""
    count = len(plain)
    frequencies = np.fft.rfftfreq(4 * count)  # finer than 1 / count: cycles need not be whole
    power = np.abs(np.fft.rfft(plain, 4 * count)) ** 2 / count
    able = (frequencies >= MIN_CYCLE_PERIODS / count) & (frequencies <= 1 / MIN_LOOKS_PER_PERIOD)
    above = np.where(able, power / red_noise_power(plain, frequencies), 0.0)
    best = int(above.argmax())
    return float(frequencies[best]), float(power[best])


def fit_sine(plain: Numbers, frequency: float) -> Numbers:
    """The sine of this frequency that fits best."""
    angle = 2 * np.pi * frequency * np.arange(len(plain))
    basis = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    fitted: Numbers = basis @ np.linalg.lstsq(basis, plain, rcond=None)[0]
    return fitted


def red_noise_power(series: Numbers, frequency: Any) -> Any:
    """The power that AR(1) noise of this series' variance and memory has at a frequency."""
    memory = float(np.clip(series[1:] @ series[:-1] / (series @ series), 0.0, 0.999))
    spread = 1 + memory**2 - 2 * memory * np.cos(2 * np.pi * frequency)
    return series.var() * (1 - memory**2) / spread


def estimate_onset(plain: Numbers, frequency: float) -> int | None:
    """Where noise most likely turns into noise with this cycle, or None if the cycle has died out.

    A cycle from a place to the end explains |sum of x exp(-iwt)|^2 / (loss records in it) of the variance.
    """
    count = len(plain)
    turned = plain * np.exp(-2j * np.pi * frequency * np.arange(count))
    tails = np.cumsum(turned[::-1])[::-1]
    gain = np.abs(tails) ** 2 / (count - np.arange(count))
    first = int(gain[: count - math.floor(MIN_CYCLE_PERIODS / frequency) + 1].argmax())
    middle = (first + count) // 2
    early, late = abs(turned[first:middle].mean()), abs(turned[middle:].mean())
    return first if late >= early / 2 else None
