"""Verdicts from the ratios of pairs.

A benchmark regressed if the median ratio exceeds the margin and its interval excludes 1, in two rounds.
Ratios are log(head / base) of consecutive measurements. The interval of their median is distribution-free:
its ends are order statistics, chosen by the binomial distribution (Hahn and Meeker, 1991).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

import numpy as np

Verdict = Literal["regressed", "improved", "unchanged", "undecided", "new", "missing"]
ORDER: tuple[Verdict, ...] = (
    "regressed",
    "missing",
    "undecided",
    "improved",
    "new",
    "unchanged",
)  # order of presentation
PERF_CONFIDENCE_LEVEL = 0.95
EXACT_COUNT_MARGIN = 0.02  # relative margin of exact counts
POWER_DRAWS = 2000


@dataclass(frozen=True)
class MedianInterval:
    """The median of log ratios, with an interval of at least 95 % confidence."""

    median: float
    low: float = -math.inf
    high: float = math.inf

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


def interval_rank(count: int, level: float = PERF_CONFIDENCE_LEVEL) -> int:
    """Returns the k for which the k-th smallest and k-th largest values enclose the median.

    Returns 0 if no k reaches the level.
    """
    outside, k = 0.0, 0
    while k < count // 2:
        outside += math.comb(count, k) / 2**count
        if 1 - 2 * outside < level:
            break
        k += 1
    return k


def median_interval(ratios: Sequence[float]) -> MedianInterval:
    """Returns the median and its interval, which is unbounded for fewer than six ratios."""
    ordered, k = sorted(ratios), interval_rank(len(ratios))
    middle = median(ordered)
    return MedianInterval(middle, ordered[k - 1], ordered[-k]) if k else MedianInterval(middle)


def decide_perf_verdict(bounds: MedianInterval, margin: float) -> Verdict:
    edge = math.log1p(margin)
    if bounds.median > edge and bounds.low > 0:
        return "regressed"
    if bounds.median < -edge and bounds.high < 0:
        return "improved"
    return "unchanged" if -edge < bounds.low and bounds.high < edge else "undecided"


def decide_count_verdict(base: float, head: float, margin: float = EXACT_COUNT_MARGIN) -> Verdict:
    """Decides exact counts, with one number per side."""
    if base == head:
        return "unchanged"
    ratio = head / base if base else math.inf
    if ratio > 1 + margin:
        return "regressed"
    return "improved" if ratio < 1 - margin else "unchanged"


def slowdown_power(
    ratios: Sequence[float],
    slowdown: float,
    pairs: int,
    margin: float,
    rng: np.random.Generator,
) -> float:
    """Estimates the probability that both rounds detect a slowdown, given these log ratios.

    Resamples pairs from the log ratios, centred at the slowdown.
    """
    k = interval_rank(pairs)
    if not k:
        return 0.0
    noise = np.asarray(ratios) - median(ratios)
    drawn = rng.choice(noise, (POWER_DRAWS, pairs)) + math.log1p(slowdown)
    drawn.sort(axis=1)
    is_detected = (np.median(drawn, axis=1) > math.log1p(margin)) & (drawn[:, k - 1] > 0)
    return float(is_detected.mean()) ** 2
