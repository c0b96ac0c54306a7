"""Verdicts from the log ratios of pairs, after each pair of a round.

A benchmark is worse if its mean ratio exceeds half the margin and its interval excludes 1, in two rounds.
It is equivalent if its interval lies within the margin. So a slowdown of the margin is found, and one far
below is not. Intervals are Student's t. Each look at the pairs has an equal share of the error
(Bonferroni), so that all looks of a round keep it together.
"""

import math
from collections.abc import Sequence
from statistics import stdev

import numpy as np

from ganbench.analysis.intervals import MeanInterval, t_interval, t_quantile
from ganbench.analysis.sequential import equal_share
from ganbench.analysis.verdicts import ComparisonVerdict

from .rules import PerfRules

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
ROUND_ERROR = 0.05  # probability that an interval of a round misses the true ratio
MIN_PAIRS = 4  # pairs before the first look
EXACT_COUNT_MARGIN = 0.02  # relative margin of exact counts
SIMULATED_ROUNDS = 2000


def look_level(most_pairs: int) -> float:
    """Returns the confidence level of the interval at each look of a round."""
    return 1 - ROUND_ERROR * equal_share(most_pairs - MIN_PAIRS + 1)


def ratio_interval(ratios: Sequence[float], most_pairs: int) -> MeanInterval:
    """Returns the interval of a look at a round of at most so many pairs.

    It is unbounded if there are too few.
    """
    if len(ratios) < MIN_PAIRS:
        return MeanInterval(float(np.mean(ratios)), -math.inf, math.inf, len(ratios))
    return t_interval(ratios, level=look_level(most_pairs))


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
    pairs: int,
    rules: PerfRules,
    rng: np.random.Generator,
) -> float:
    """Estimates the probability that two rounds of so many pairs find a slowdown.

    Simulates rounds of normal log ratios, with the deviation of the given ones. At a slowdown of 0 it is
    the probability of a false alarm.
    """
    if len(ratios) < 2:
        return 0.0
    drawn = rng.normal(math.log1p(slowdown), stdev(ratios), (SIMULATED_ROUNDS, pairs))
    return float(find_slowdowns(drawn, rules).mean()) ** 2


def find_slowdowns(rounds: np.ndarray, rules: PerfRules) -> np.ndarray:
    """Returns for each row of log ratios whether its first decided look is a regression."""
    edge, level = math.log1p(rules.margin), look_level(rules.pairs)
    found, is_open = np.zeros(len(rounds), bool), np.ones(len(rounds), bool)
    for count in range(MIN_PAIRS, rounds.shape[1] + 1):
        seen = rounds[:, :count]
        mean, error = seen.mean(1), seen.std(1, ddof=1) / math.sqrt(count)
        half = t_quantile((1 + level) / 2, count - 1) * error
        is_other = (np.abs(mean) > edge / 2) & (np.abs(mean) > half)
        found |= is_open & is_other & (mean > 0)
        is_open &= ~(is_other | (np.abs(mean) + half < edge))
    return found
