"""Comparison of two tables of results: better, worse, equivalent and undecided cells.

Cells in both tables are compared with Student's or Welch's t test (1908, 1947). Their failed
trainings are compared with Fisher's exact test (1935). Over all cells it permutes seeds, as the cells of a
network may fail together at one seed. Both tests have Holm's correction (1979) over the cells of a metric.
Values measured under different protocols are never compared.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ganbench.evaluation.metric_names import depends_on_features, features_of_plan
from ganbench.registry import SpecError, suggest

from .cell_comparison import UNTESTED_VERDICTS, CellComparison
from .contrasts import Change, Samples, change_of_samples, estimate_contrast, holm_correct
from .intervals import CONFIDENCE_LEVEL, is_improvement, ratio_or_difference, t_interval
from .matched_cells import MatchedCell, count_ended, match_cells, transformed_values
from .metric_scale import metric_scale
from .rates import chances_of_drawn_sum
from .rows import ARM_COLUMNS
from .verdicts import ComparisonVerdict

COUNT_FIELDS = ("failed_before", "ended_before", "failed_after", "ended_after")
# The number of a network's cells that failed, for each seed, before and after.
FailuresBySeed = tuple[list[int], list[int]]
UNIT_OF_TRANSFORM = {"log": "ratio", "none": "difference", "logit": "log odds"}  # unit of a change
TRANSFORM_OF_UNIT = {unit: transform for transform, unit in UNIT_OF_TRANSFORM.items()}


def compare_runs(
    a: pd.DataFrame,
    b: pd.DataFrame,
    margin: float | None = None,
    metrics: list[str] | None = None,
) -> list[CellComparison]:
    """Compares each cell that was trained before (`a`) or after (`b`), for each metric.

    Both arguments are frames returned by `rows.load`. Cells are matched by data set, variant, loss, tricks
    and plan, and compared at the last checkpoint. The test is paired by seed if both suites declare pairs
    and have the same seeds; otherwise it is Welch's test.

    Values and failures are tested separately. Each test has at most 5 % false alarms over the cells of a
    metric, and so have claims of equivalence. A significant change in failures decides the verdict,
    whatever the values of the other trainings.

    `margin` is a share from 0 to below 1; by default, the margin that the suite of `b` declares. `metrics`
    defaults to the metrics of both frames. Raises SpecError for an invalid margin or metric.
    """
    share = declared_margin(b, margin)
    comparisons = []
    for metric in shared_metrics(a, b, metrics):
        cells = described_matches(a, b, metric, share)
        raw = with_family_intervals([compare_cell(match, cell) for match, cell in cells])
        values = holm_correct([c.p for c in raw])
        failures = holm_correct([c.failure_p for c in raw])
        comparisons += [with_verdict(*each) for each in zip(raw, values, failures, strict=True)]
    return comparisons


def compare_overall(
    a: pd.DataFrame,
    b: pd.DataFrame,
    margin: float | None = None,
    metrics: list[str] | None = None,
) -> list[CellComparison]:
    """Compares each metric's mean over all matched cells.

    The arguments are those of `compare_runs`. The cells are fixed, not a sample of all cells: the error
    comes from the seeds within each cell. The verdict is `identical` if all trainings in both frames have
    the same values. This is stricter than `equivalent`.
    """
    share = declared_margin(b, margin)
    chosen = shared_metrics(a, b, metrics)
    means = [
        mean_comparison(blank_comparison(a, b, m, share), list(described_matches(a, b, m, share)))
        for m in chosen
    ]
    raw = with_family_intervals(means)
    values = holm_correct([c.p for c in raw])
    return [with_verdict(c, p, c.failure_p) for c, p in zip(raw, values, strict=True)]


def shared_metrics(a: pd.DataFrame, b: pd.DataFrame, metrics: list[str] | None) -> list[str]:
    """Returns the requested metrics, by default all metrics of both suites."""
    before, after = a.attrs["plan"]["metrics"], b.attrs["plan"]["metrics"]
    both = [metric for metric in after if metric in before]
    for metric in metrics or []:
        if metric not in {**before, **after}:
            raise SpecError(f"unknown metric {metric!r}{suggest(metric, both)}")
        if metric not in both:
            side = "before" if metric in before else "after"
            raise SpecError(f"{metric} was measured only {side}{suggest(metric, both)}")
    if not both:
        measured = f"{', '.join(before)} before, {', '.join(after)} after"
        raise SpecError(f"no metric was measured on both sides: {measured}")
    return list(dict.fromkeys(metrics or both))


def declared_margin(b: pd.DataFrame, margin: float | None) -> float:
    margin = b.attrs["plan"]["analysis"]["equivalence"] if margin is None else margin
    if not 0 <= margin < 1:
        raise SpecError(f"the margin must be a share from 0 to below 1, such as 0.02, not {margin}")
    return float(margin)


def pairs_by_seed(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    """Returns whether both suites declare pairs and have the same seeds."""
    plans = [frame.attrs["plan"] for frame in (a, b)]
    declared = all(plan["analysis"]["paired"] for plan in plans)
    return declared and set(plans[0]["seeds"]) == set(plans[1]["seeds"])


def compare_cell(match: MatchedCell, cell: CellComparison) -> tuple[CellComparison, list[Change]]:
    """Returns a cell's comparison without its verdict, and its change.

    The list is empty unless both sides have comparable values.
    """
    if cell.verdict in UNTESTED_VERDICTS:
        return cell, []
    change = change_between(match, TRANSFORM_OF_UNIT[cell.unit], cell.paired)
    own = [change] if change else []
    return with_tests(cell, own, failures_by_network([match])), own


def described_matches(
    a: pd.DataFrame, b: pd.DataFrame, metric: str, margin: float
) -> Iterator[tuple[MatchedCell, CellComparison]]:
    """Yields each cell that has something to compare, with its comparison before any test."""
    transform = metric_scale(b.attrs["plan"], metric).transform
    for match in match_cells(a, b, metric):
        cell = replace(blank_comparison(a, b, metric, margin), **describe_match(match, transform))
        if not has_nothing_to_compare(cell):
            yield match, cell


def has_nothing_to_compare(cell: CellComparison) -> bool:
    """Returns whether the metric has no value on either side although trainings ended well.

    An example is the Inception Score, which is not applicable to points.
    """
    ended_well = cell.ended_before > cell.failed_before or cell.ended_after > cell.failed_after
    return ended_well and math.isnan(cell.before) and math.isnan(cell.after)


def blank_comparison(
    a: pd.DataFrame, b: pd.DataFrame, metric: str, margin: float
) -> CellComparison:
    """Returns a comparison with metric, pairing, unit and margin, but no results."""
    plan = b.attrs["plan"]
    scale = metric_scale(plan, metric)
    return CellComparison(
        metric,
        scale.direction,
        paired=pairs_by_seed(a, b),
        unit=UNIT_OF_TRANSFORM[scale.transform],
        margin=margin,
        features=features_of_plan(plan) if depends_on_features(metric) else "",
    )


def describe_match(match: MatchedCell, transform: str) -> dict[str, Any]:
    """Returns a cell's names, means and failures, and its verdict if that needs no test."""
    comparison: dict[str, Any] = dict(zip(ARM_COLUMNS, match.names, strict=True))
    comparison["verdict"], comparison["reason"] = match.untested_verdict()
    for name, side in (("before", match.before), ("after", match.after)):
        comparison[name] = t_interval(list(transformed_values(side).values()), transform).mean
        comparison[f"failed_{name}"] = sum(training.has_failed() for training in side.values())
        comparison[f"ended_{name}"] = count_ended(side)
    return comparison


def change_between(match: MatchedCell, transform: str, paired: bool) -> Change | None:
    """Computes after minus before on the transformed scale.

    Returns None if there are no two values to compare.
    """
    before = transformed_values(match.before, transform)
    after = transformed_values(match.after, transform)
    if paired:
        both = sorted(before.keys() & after.keys())
        samples: Samples = {"": {seed: after[seed] - before[seed] for seed in both}}
    else:
        samples = {"after": after, "before": {seed: -value for seed, value in before.items()}}
    return change_of_samples(samples, match.network)


def mean_comparison(
    blank: CellComparison, cells: Sequence[tuple[MatchedCell, CellComparison]]
) -> tuple[CellComparison, list[Change]]:
    """Averages the changes of all cells and adds up their failed trainings.

    The returned comparison has no tested verdict yet.
    """
    tested = [match for match, c in cells if c.verdict not in UNTESTED_VERDICTS]
    compared = [compare_cell(match, c) for match, c in cells]
    matched = [c for c, _ in compared if c.verdict not in UNTESTED_VERDICTS]
    refused = dict.fromkeys(
        c.reason for c, _ in compared if c.verdict is ComparisonVerdict.NOT_COMPARABLE
    )
    totals: dict[str, Any] = {name: sum(getattr(c, name) for c in matched) for name in COUNT_FIELDS}
    verdict = classify_without_test(matched)
    named = replace(blank, verdict=verdict, reason="; ".join(refused), **totals)
    changes = [change for _, own in compared for change in own]
    return with_tests(named, changes, failures_by_network(tested)), changes


def classify_without_test(matched: Sequence[CellComparison]) -> ComparisonVerdict | None:
    """Returns the verdict for all cells together if it needs no test, or None.

    It is `identical` if all cells with values are identical, and `not comparable` if no cell matched.
    """
    if not matched:
        return ComparisonVerdict.NOT_COMPARABLE
    measured = [c for c in matched if not (math.isnan(c.before) and math.isnan(c.after))]
    if measured and all(c.verdict is ComparisonVerdict.IDENTICAL for c in measured):
        return ComparisonVerdict.IDENTICAL
    return None


def failures_by_network(cells: Iterable[MatchedCell]) -> list[FailuresBySeed]:
    """Returns the failures of each network by seed, summed over these cells."""
    counts: dict[Any, tuple[Counter[int], Counter[int]]] = {}
    for cell in cells:
        of_network = counts.setdefault(cell.network, (Counter(), Counter()))
        for seeds, side in zip(of_network, (cell.before, cell.after), strict=True):
            ended = {seed: t.has_failed() for seed, t in side.items() if t.has_ended()}
            seeds.update(ended)
    return [(list(before.values()), list(after.values())) for before, after in counts.values()]


def with_tests(
    c: CellComparison, changes: Sequence[Change], failures: Sequence[FailuresBySeed]
) -> CellComparison:
    """Returns the comparison with the mean change and the tests of values and failures."""
    combined = estimate_contrast(changes)
    middle, low, high = in_unit((combined.mean, *combined.interval()), c.unit)
    excess, failure_p = failure_test(failures)
    seeds = sum(each.seeds for each in changes)
    c = replace(c, cells=len(changes), seeds=seeds, excess=excess, failure_p=failure_p)
    return replace(c, change=middle, low=low, high=high, p=combined.p())


def with_family_intervals(
    compared: Sequence[tuple[CellComparison, list[Change]]],
) -> list[CellComparison]:
    """Returns the comparisons with intervals that hold for all of them together.

    They have Bonferroni's correction: Holm's steps say nothing of equivalence.
    """
    tests = max(1, sum(not math.isnan(c.p) for c, _ in compared))
    corrected = []
    for c, changes in compared:
        low, high = in_unit(estimate_contrast(changes).interval(tests), c.unit)
        corrected.append(replace(c, family_low=low, family_high=high))
    return corrected


def in_unit(values: Iterable[float], unit: str) -> list[float]:
    """Returns differences of transformed means in the unit of a comparison's change."""
    return [ratio_or_difference(value, "log" if unit == "ratio" else "none") for value in values]


def failure_test(networks: Sequence[FailuresBySeed]) -> tuple[float, float]:
    """Computes the excess of failures after, and its exact two-sided p.

    The excess is the number of failures after, minus their expected number. Within each network, the seeds of
    both sides are exchangeable. With one cell this is Fisher's test. p is NaN if the failures could be
    distributed in one way only.
    """
    null, excess, observed = np.ones(1), 0.0, 0
    for before, after in networks:
        pool = [*before, *after]
        if len(set(pool)) > 1 and before and after:
            null = np.convolve(null, chances_of_drawn_sum(pool, len(after)))
            observed += sum(after)
            excess += sum(after) - sum(pool) * len(after) / len(pool)
    if np.count_nonzero(null) < 2:
        return excess, math.nan
    p = float(null[null <= null[observed] * (1 + 1e-7)].sum())  # tolerates rounding
    return excess, min(1.0, p)


def with_verdict(c: CellComparison, p: float, failure_p: float) -> CellComparison:
    """Returns the comparison with its corrected p-values and its verdict.

    The verdict is never stronger than the interval.
    """
    c = replace(c, p=p, failure_p=failure_p)
    return replace(c, verdict=c.verdict or decide_comparison_verdict(c))


def decide_comparison_verdict(c: CellComparison) -> ComparisonVerdict:
    if c.is_decided_by_failures:
        return ComparisonVerdict.WORSE if c.excess > 0 else ComparisonVerdict.BETTER
    if c.unit == "ratio" and 1 - c.margin < c.family_low and c.family_high < 1 / (1 - c.margin):
        return ComparisonVerdict.EQUIVALENT
    if c.p < 1 - CONFIDENCE_LEVEL:
        is_better = is_improvement(c.change, c.direction, 1.0 if c.unit == "ratio" else 0.0)
        return ComparisonVerdict.BETTER if is_better else ComparisonVerdict.WORSE
    return ComparisonVerdict.UNDECIDED
