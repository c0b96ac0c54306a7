"""Verdicts from ratios of pairs: an effect beyond a margin, and an interval without 1, and that twice.

Ratios are head/base, of measurements that followed each other, as logarithms. The interval of their median
is made of two of them and supposes no law (order statistics and the binomial; Hahn and Meeker, 1991).
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
)  # as they are told
PERF_CONFIDENCE_LEVEL = 0.95
EXACT_COUNT_MARGIN = 0.02  # the margin of what is counted and not timed
POWER_DRAWS = 2000


@dataclass(frozen=True)
class MedianInterval:
    """The median of log ratios, and what it lies in with a probability of at least 95 %."""

    median: float
    low: float = -math.inf
    high: float = math.inf

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


def interval_rank(count: int, level: float = PERF_CONFIDENCE_LEVEL) -> int:
    """The k for which the k-th smallest and the k-th largest of so many enclose the median; 0 if none does."""
    outside, k = 0.0, 0
    while k < count // 2:
        outside += math.comb(count, k) / 2**count
        if 1 - 2 * outside < level:
            break
        k += 1
    return k


def median_interval(ratios: Sequence[float]) -> MedianInterval:
    """Of fewer than six ratios nothing can be said: it is unbounded."""
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
    """Of exact numbers, of which there is one a side."""
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
    """The probability that both rounds see a slowdown, if noise is as it was in these log ratios.

    Pairs are drawn again from them, centred at the slowdown.
    """
    k = interval_rank(pairs)
    if not k:
        return 0.0
    noise = np.asarray(ratios) - median(ratios)
    drawn = rng.choice(noise, (POWER_DRAWS, pairs)) + math.log1p(slowdown)
    drawn.sort(axis=1)
    is_detected = (np.median(drawn, axis=1) > math.log1p(margin)) & (drawn[:, k - 1] > 0)
    return float(is_detected.mean()) ** 2
