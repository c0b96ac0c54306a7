"""Verdicts from the log ratios of pairs, at each look at a round.

A benchmark is worse if its mean ratio exceeds half the margin and its interval excludes 1, in two rounds.
It is equivalent if its interval lies within the margin. So a slowdown of the margin is found, and one far
below is not. Intervals are Student's t of moderated variances. The looks at the pairs share the error
(Bonferroni), so that all looks of a round keep it together.
"""

import math
from collections.abc import Sequence

import numpy as np

from ganbench.analysis.intervals import MeanInterval, t_quantile
from ganbench.analysis.verdicts import ComparisonVerdict

from .noise import NO_SHARED_NOISE, SharedNoise
from .rules import MIN_PAIRS, PerfRules

ORDER = (
    ComparisonVerdict.WORSE,
    ComparisonVerdict.MISSING,
    ComparisonVerdict.UNDECIDED,
    ComparisonVerdict.BETTER,
    ComparisonVerdict.NEW,
    ComparisonVerdict.EQUIVALENT,
    ComparisonVerdict.IDENTICAL,
)  # order of presentation
UNCHANGED = (ComparisonVerdict.EQUIVALENT, ComparisonVerdict.IDENTICAL)
EXACT_COUNT_MARGIN = 0.02  # relative margin of exact counts
SIMULATED_ROUNDS = 2000


def ratio_interval(
    ratios: Sequence[float], rules: PerfRules, noise: SharedNoise = NO_SHARED_NOISE
) -> MeanInterval:
    """Returns the interval of a look at a round; it is unbounded if there are too few pairs."""
    count, mean = len(ratios), float(np.mean(ratios))
    if count < MIN_PAIRS:
        return MeanInterval(mean, -math.inf, math.inf, count)
    variance, freedom = noise.moderate(variance_of(ratios), count - 1)
    half = t_quantile((1 + rules.level(count)) / 2, freedom) * math.sqrt(variance / count)
    return MeanInterval(mean, mean - half, mean + half, count)


def variance_of(ratios: Sequence[float]) -> float:
    return float(np.var(ratios, ddof=1))


def decide_perf_verdict(bounds: MeanInterval, margin: float) -> ComparisonVerdict:
    edge = math.log1p(margin)
    if bounds.mean > edge / 2 and bounds.low > 0:
        return ComparisonVerdict.WORSE
    if bounds.mean < -edge / 2 and bounds.high < 0:
        return ComparisonVerdict.BETTER
    return (
        ComparisonVerdict.EQUIVALENT
        if -edge < bounds.low and bounds.high < edge
        else ComparisonVerdict.UNDECIDED
    )


def decide_count_verdict(
    base: float, head: float, margin: float = EXACT_COUNT_MARGIN
) -> ComparisonVerdict:
    """Decides exact counts, with one number per side."""
    if base == head:
        return ComparisonVerdict.IDENTICAL
    ratio = head / base if base else math.inf
    if ratio > 1 + margin:
        return ComparisonVerdict.WORSE
    return ComparisonVerdict.BETTER if ratio < 1 - margin else ComparisonVerdict.EQUIVALENT


def slowdown_power(
    ratios: Sequence[float],
    slowdown: float,
    rounds: Sequence[int],
    rules: PerfRules,
    rng: np.random.Generator,
    noise: SharedNoise = NO_SHARED_NOISE,
) -> float:
    """Estimates the probability that all rounds, of so many pairs each, find a slowdown.

    Simulates rounds of normal log ratios, with the moderated deviation of the given ones. At a slowdown of 0
    it is the probability of a false alarm.
    """
    if len(ratios) < 2:
        return 0.0
    variance, _ = noise.moderate(variance_of(ratios), len(ratios) - 1)
    size = (SIMULATED_ROUNDS, max(rounds))
    drawn = rng.normal(math.log1p(slowdown), math.sqrt(variance), size)
    found = [find_slowdowns(drawn[:, :pairs], rules, noise).mean() for pairs in rounds]
    return float(np.prod(found))


def find_slowdowns(
    rounds: np.ndarray, rules: PerfRules, noise: SharedNoise = NO_SHARED_NOISE
) -> np.ndarray:
    """Returns for each row of log ratios whether its first decided look is a regression."""
    edge = math.log1p(rules.margin)
    found, is_open = np.zeros(len(rounds), bool), np.ones(len(rounds), bool)
    for count in (look for look in rules.looks if look <= rounds.shape[1]):
        seen = rounds[:, :count]
        variance, freedom = noise.moderate(seen.var(1, ddof=1), count - 1)
        mean = seen.mean(1)
        half = t_quantile((1 + rules.level(count)) / 2, freedom) * np.sqrt(variance / count)
        is_other = (np.abs(mean) > edge / 2) & (np.abs(mean) > half)
        found |= is_open & is_other & (mean > 0)
        is_open &= ~(is_other | (np.abs(mean) + half < edge))
    return found
