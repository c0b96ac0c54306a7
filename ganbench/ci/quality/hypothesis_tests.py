"""The hypothesis tests of a gate, for worse metrics and for more failed trainings.

A metric is tested by Welch's one-sided t test (1947) on the metric's scale. The null hypothesis is a
worsening of at most the margin, not the absence of a change. Failures of all cells together are tested by an
exact permutation of seeds between the sides (Fisher, 1935), as cells of one seed may fail together. Holm's
correction (1979) over all tests bounds the false alarm rate of the gate.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from ganbench.analysis.contrasts import difference_of_means, holm_correct
from ganbench.analysis.metric_scale import MetricScale
from ganbench.analysis.rates import chances_of_drawn_sum
from ganbench.analysis.verdicts import ComparisonVerdict

FAILURES_METRIC = "failures"  # the metric name of the failure test
ALL_CELLS = ""  # the cell name of tests over all cells
MIN_TRAININGS_PER_TEST = 3  # minimum values per side for a test


@dataclass(frozen=True)
class CellTrainings:
    """The outcomes of one cell's trainings, and the values of the successful ones."""

    ended: int  # successful or diverged; crashed and interrupted ones do not count
    failed: int = 0  # diverged
    values: Mapping[str, Sequence[float | None]] = field(default_factory=dict)  # by metric and seed

    def measured_values(self, metric: str) -> list[float]:
        """Returns the values that are not None."""
        return [value for value in self.values.get(metric, ()) if value is not None]


@dataclass(frozen=True)
class GateTest:
    """A hypothesis test and its result."""

    cell: str  # or ALL_CELLS
    metric: str
    before: float  # mean on the metric's own scale, or the share of failures
    after: float
    worse: float  # the worsening on the transformed scale
    bound: float  # one-sided 95 % upper confidence bound of `worse`; NaN without an error
    margin: float  # on the transformed scale
    change: str  # the worsening as text
    p: float  # one-sided; null: at most the margin; Holm-corrected by `run_tests`
    counts: tuple[int, int]  # values before and after, or trainings for failures
    scale: MetricScale  # the scale of the metric
    verdict: ComparisonVerdict = ComparisonVerdict.UNDECIDED  # or worse, or not worse


def run_tests(
    before: Mapping[str, CellTrainings],
    after: Mapping[str, CellTrainings],
    scales: Mapping[str, MetricScale],
    margins: Mapping[str, float],
    false_alarms: float,
) -> list[GateTest]:
    """Tests every metric with a margin, per common cell and over all cells, and the failures.

    Skips tests with fewer than MIN_TRAININGS_PER_TEST values on a side. `list_unanswered` reports skipped
    tests that should not be missing.
    """
    cells = [cell for cell in before if cell in after]
    tests = [
        non_inferiority_test(cell, metric, *values, scales[metric], margin)
        for metric, margin in margins.items()
        for cell, values in comparable_values(before, after, cells, metric, scales[metric]).items()
    ]
    if cells:
        tests.append(
            failure_test([before[cell] for cell in cells], [after[cell] for cell in cells])
        )
    corrected = holm_correct([test.p for test in tests])
    return [
        with_test_verdict(test, p, false_alarms) for test, p in zip(tests, corrected, strict=True)
    ]


def comparable_values(
    before: Mapping[str, CellTrainings],
    after: Mapping[str, CellTrainings],
    cells: Sequence[str],
    metric: str,
    scale: MetricScale,
) -> dict[str, tuple[list[float], list[float]]]:
    """Returns the values before and after, of each cell with enough values and of all cells."""
    sides = {
        cell: (before[cell].measured_values(metric), after[cell].measured_values(metric))
        for cell in cells
    }
    tested = {
        cell: pair for cell, pair in sides.items() if min(map(len, pair)) >= MIN_TRAININGS_PER_TEST
    }
    if len(tested) > 1:
        means = tuple(means_over_cells(side, tested, metric, scale) for side in (before, after))
        if min(map(len, means)) >= MIN_TRAININGS_PER_TEST:
            tested[ALL_CELLS] = means[0], means[1]
    return tested


def means_over_cells(
    side: Mapping[str, CellTrainings], cells: Iterable[str], metric: str, scale: MetricScale
) -> list[float]:
    """Returns each seed's mean over the cells, for the seeds with a value in every cell.

    Cells of one seed share initial weights, latents and data, so their values are correlated. The means
    of different seeds are independent.
    """
    columns = zip(*(side[cell].values[metric] for cell in cells), strict=True)
    return [scale.mean(values) for values in columns if None not in values]


def non_inferiority_test(
    cell: str,
    metric: str,
    before: Sequence[float],
    after: Sequence[float],
    scale: MetricScale,
    margin: float,
) -> GateTest:
    """Computes Welch's one-sided test for a worsening beyond the margin.

    Values without variance prove nothing, but equal counts have the error of rounding.
    """
    one, other = scale.transformed(before), scale.transformed(after)
    ordered = (other, one) if scale.is_lower_better else (one, other)
    worsening, allowed = difference_of_means(*ordered), scale.margin_on_scale(margin)
    return GateTest(
        cell=cell,
        metric=metric,
        before=scale.mean(before),
        after=scale.mean(after),
        worse=worsening.mean,
        bound=worsening.upper_bound(),
        margin=allowed,
        change=scale.format_worsening(worsening.mean),
        p=worsening.p_above(allowed),
        counts=(len(before), len(after)),
        scale=scale,
    )


def failure_test(before: Sequence[CellTrainings], after: Sequence[CellTrainings]) -> GateTest:
    """Tests for more failed trainings by seed; with one cell it is Fisher's exact test.

    It has no bound, so equal shares are no proof that failures did not become more frequent.
    """
    failed, ended = (
        [sum(getattr(side, what) for side in sides) for sides in (before, after)]
        for what in ("failed", "ended")
    )
    p = p_of_more_failures(failures_by_seed(before), failures_by_seed(after))
    one, other = (f / max(1, e) for f, e in zip(failed, ended, strict=True))
    wording = f"{failed[0]} of {ended[0]} before, {failed[1]} of {ended[1]} after"
    return GateTest(
        cell=ALL_CELLS,
        metric=FAILURES_METRIC,
        before=one,
        after=other,
        worse=other - one,
        bound=math.nan,
        margin=0.0,
        change=wording,
        p=p,
        counts=(ended[0], ended[1]),
        scale=MetricScale("lower", "none"),
    )


def failures_by_seed(cells: Sequence[CellTrainings]) -> list[int]:
    """Returns the number of cells that failed, for each seed."""
    flags = [failed_seeds(cell) for cell in cells]
    return [sum(of_seed) for of_seed in zip_longest(*flags, fillvalue=False)]


def failed_seeds(cell: CellTrainings) -> list[bool]:
    """Returns for each seed whether it failed: it then has no value of any metric.

    If the values do not show it, the first seeds count as failed, so that those of all cells are the same.
    """
    rows = list(zip(*cell.values.values(), strict=False))
    flags = [all(value is None for value in row) for row in rows]
    if (len(flags), sum(flags)) == (cell.ended, cell.failed):
        return flags
    return [number < cell.failed for number in range(cell.ended)]


def p_of_more_failures(before: Sequence[int], after: Sequence[int]) -> float:
    """Computes the exact p that seeds drawn from both sides fail as often as those after."""
    chances = chances_of_drawn_sum([*before, *after], len(after))
    return float(chances[sum(after) :].sum())


def with_test_verdict(test: GateTest, p: float, false_alarms: float) -> GateTest:
    verdict = ComparisonVerdict.UNDECIDED
    if p < false_alarms:
        verdict = ComparisonVerdict.WORSE
    elif test.bound <= test.margin:
        verdict = ComparisonVerdict.NOT_WORSE
    return replace(test, p=p, verdict=verdict)
