"""The power of a gate before it runs: the probability of detecting a worsening.

It is computed from the noncentral t distribution of Welch's test. Both sides are assumed to have the
variance of the baseline. The level is that of Holm's first step, so the true probability is a little higher.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy import stats

from ganbench.analysis.contrasts import detectable_size, satterthwaite_freedom
from ganbench.analysis.metric_scale import MetricScale

from .hypothesis_tests import (
    CellTrainings,
    comparable_values,
    failures_by_seed,
    p_of_more_failures,
)

DETECTION_PROBABILITIES = (0.5, 0.8, 0.95)


@dataclass(frozen=True)
class DetectablePower:
    """The worsenings that a gate can detect in one metric of one cell."""

    cell: str  # or ALL_CELLS
    metric: str
    mean: float  # mean on the metric's own scale
    spread: float  # standard deviation over seeds, on the transformed scale
    margin: float  # on the transformed scale
    caught: tuple[float, ...]  # worsening per DETECTION_PROBABILITIES, on the transformed scale
    scale: MetricScale

    def format_worsenings(self) -> list[str]:
        """Formats the detectable worsenings, like `× 1.35`."""
        return [self.scale.format_worsening(worse) for worse in self.caught]


def detectable_powers(
    baseline: Mapping[str, CellTrainings],
    seeds: int,
    scales: Mapping[str, MetricScale],
    margins: Mapping[str, float],
    false_alarms: float,
) -> list[DetectablePower]:
    """Returns the power of a gate per metric, for each cell of a baseline and for all cells."""
    tested = {
        (cell, metric): values
        for metric in margins
        for cell, (values, _) in comparable_values(
            baseline, baseline, list(baseline), metric, scales[metric]
        ).items()
    }
    level, powers = false_alarms / (len(tested) + 1), []  # + 1 for the failure test
    for (cell, metric), values in tested.items():
        scale, count = scales[metric], len(values)
        spread = float(scale.transformed(values).std(ddof=1))
        margin = scale.margin_on_scale(margins[metric])
        caught = tuple(
            smallest_detected(spread, count, seeds, margin, level, c)
            for c in DETECTION_PROBABILITIES
        )
        powers.append(
            DetectablePower(cell, metric, scale.mean(values), spread, margin, caught, scale)
        )
    return powers


def detection_probability(
    worse: float, spread: float, before: int, after: int, margin: float, level: float
) -> float:
    """Returns the probability that the test proves a true worsening."""
    if after < 2:
        return 0.0
    if spread == 0:
        return float(worse > margin)
    error, freedom = spread * math.sqrt(1 / before + 1 / after), shared_freedom(before, after)
    bound = float(stats.t.ppf(1 - level, freedom))
    return float(stats.nct.sf(bound, freedom, (worse - margin) / error))


def shared_freedom(before: int, after: int) -> float:
    """Returns Welch's degrees of freedom for two sides of equal variance."""
    return satterthwaite_freedom([1 / before, 1 / after], [before - 1, after - 1])


def smallest_detected(
    spread: float, before: int, after: int, margin: float, level: float, wanted: float
) -> float:
    """Returns the worsening that is proven with the wanted probability, or infinity."""
    if after < 2:
        return math.inf
    if spread == 0:
        return margin
    error = spread * math.sqrt(1 / before + 1 / after)
    return margin + error * detectable_size(shared_freedom(before, after), level, wanted)


def detectable_failures(baseline: Sequence[CellTrainings], seeds: int, level: float) -> int | None:
    """Returns the smallest number of failed trainings of different seeds that proves more.

    None if even a failure of every seed is no proof.
    """
    before = failures_by_seed(baseline)
    sides = ([number < failed for number in range(seeds)] for failed in range(seeds + 1))
    p = (p_of_more_failures(before, after) for after in sides)
    return next((failed for failed, value in enumerate(p) if value < level), None)
