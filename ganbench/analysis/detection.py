"""Detection of failures in a training from its curves, with the step at which they began.

A flag holds from its step to the end of training. If the training recovers from a collapse or from a
dominant discriminator, it has no flag. The step is that of the first loss record, or the first score,
that shows the failure.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal

FLAG_NAMES = ("collapse", "oscillation", "won", "diverged")

MIN_DOMINANT_ACCURACY = 0.99  # of pairs; normal scores then differ by 3.3 standard deviations
MIN_LASTING_SHARE = 0.1  # of the training: the minimum length of dominance
MIN_DOMINANT_RECORDS = (
    3  # minimum length of dominance in loss records; one record may be a few steps
)

MIN_SERIES_LENGTH = 20  # loss records below which no cycle is reported
MIN_CYCLE_PERIODS = 3.5  # fewer periods are taken for a trend
MIN_RECORDS_PER_PERIOD = 3  # loss records are means, in which faster cycles vanish
MIN_SPECTRAL_PROMINENCE = (
    18.0  # times the noise power there; at most 1 in 100 noise series reach it
)
MIN_EXPLAINED_SHARE = 0.25  # of the variance that the cycle explains
CYCLE_START_SHARES = (0.0, 0.25, 0.5)  # of the training to leave out: a cycle may begin late

Numbers = NDArray[np.float64]
Points = Sequence[Mapping[str, Any]]  # the rows of one part of a curve


def detect_flags(
    curve: Mapping[str, Any], result: Mapping[str, Any], share: float
) -> dict[str, int]:
    """Returns the flags of a trial with their steps, from curve.json and result.json.

    A trial collapsed if a watched metric fell below this share of the floor.
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
    """Returns the step since which a watched metric has been below its share of the floor.

    The step is that of the first score if the metric never was above. Then the generator has not collapsed:
    it never learned.
    """
    steps = [since_below(scores, metric, share * level) for metric, level in floor.items()]
    return min((step for step in steps if step is not None), default=None)


def since_below(scores: Points, metric: str, least: float) -> int | None:
    """Returns the first step of the final run of scores below `least`, or None."""
    begun = None
    for point in scores:
        if point.get(metric) is not None:
            below = point[metric] < least
            if not below:
                begun = None
            elif begun is None:
                begun = int(point["step"])
    return begun


def detect_discriminator_dominance(losses: Points) -> int | None:
    """Returns the step since which the discriminator has separated nearly all real-fake pairs.

    Pair accuracy depends only on the order of the scores, so it is comparable across losses.
    """
    width, pair_accuracy = resample_evenly(losses, "told_apart")
    missed = np.flatnonzero(pair_accuracy < MIN_DOMINANT_ACCURACY)
    first = int(missed[-1]) + 1 if len(missed) else 0
    lasted = len(pair_accuracy) - first
    if lasted < max(MIN_DOMINANT_RECORDS, MIN_LASTING_SHARE * len(pair_accuracy)):
        return None
    return (first + 1) * width


def detect_oscillation(losses: Points) -> int | None:
    """Returns the step since which the mean score of fakes has oscillated, or None."""
    width, score = resample_evenly(losses, "fake_score")
    for share in CYCLE_START_SHARES:
        start = int(share * len(score))
        if (begun := find_cycle_start(score[start:])) is not None:
            return (start + begun + 1) * width
    return None


def resample_evenly(losses: Points, name: str) -> tuple[int, Numbers]:
    """Returns the steps between loss records, and the mean of a term over each such interval.

    Losses are recorded at even distances and at each score. The additional records are merged.
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
    """Returns the index at which a lasting cycle begins, or None.

    A cycle is a spectral line far above red noise. Red noise is an AR(1) process, as in Schulz and
    Mudelsee (2002), and includes white noise. It is fitted to the residual of the cycle, because a cycle
    in the data would raise its own background.
    """
    if len(series) < MIN_SERIES_LENGTH:
        return None
    plain = signal.detrend(series)
    if plain.std() <= 1e-9 * np.abs(series).max():  # a straight line, except for rounding
        return None
    frequency, power = find_spectral_line(plain)
    rest = plain - fit_sine(plain, frequency)
    stands_out = power > MIN_SPECTRAL_PROMINENCE * red_noise_power(rest, frequency)
    if not stands_out or rest.var() > (1 - MIN_EXPLAINED_SHARE) * plain.var():
        return None
    return estimate_onset(plain, frequency)


def find_spectral_line(plain: Numbers) -> tuple[float, float]:
    """Returns the frequency that is most prominent over red noise, and its power.

    The frequency is in cycles per loss record.
    """
    count = len(plain)
    frequencies = np.fft.rfftfreq(4 * count)  # finer than 1 / count: cycles need not be whole
    power = np.abs(np.fft.rfft(plain, 4 * count)) ** 2 / count
    able = (frequencies >= MIN_CYCLE_PERIODS / count) & (frequencies <= 1 / MIN_RECORDS_PER_PERIOD)
    above = np.where(able, power / red_noise_power(plain, frequencies), 0.0)
    best = int(above.argmax())
    return float(frequencies[best]), float(power[best])


def fit_sine(plain: Numbers, frequency: float) -> Numbers:
    """Returns the least-squares sine of this frequency."""
    angle = 2 * np.pi * frequency * np.arange(len(plain))
    basis = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    fitted: Numbers = basis @ np.linalg.lstsq(basis, plain, rcond=None)[0]
    return fitted


def red_noise_power(series: Numbers, frequency: Any) -> Any:
    """Computes the power of red noise at a frequency.

    The AR(1) noise has the variance and lag-1 autocorrelation of the series.
    """
    memory = float(np.clip(series[1:] @ series[:-1] / (series @ series), 0.0, 0.999))
    spread = 1 + memory**2 - 2 * memory * np.cos(2 * np.pi * frequency)
    return series.var() * (1 - memory**2) / spread


def estimate_onset(plain: Numbers, frequency: float) -> int | None:
    """Returns the most likely index at which noise turns into noise with this cycle.

    A cycle from an index to the end explains |Σ x exp(-iωt)|² / (number of loss records in it) of the
    variance. Returns None if the cycle has died out.
    """
    count = len(plain)
    turned = plain * np.exp(-2j * np.pi * frequency * np.arange(count))
    tails = np.cumsum(turned[::-1])[::-1]
    gain = np.abs(tails) ** 2 / (count - np.arange(count))
    first = int(gain[: count - math.floor(MIN_CYCLE_PERIODS / frequency) + 1].argmax())
    middle = (first + count) // 2
    early, late = abs(turned[first:middle].mean()), abs(turned[middle:].mean())
    return first if late >= early / 2 else None
