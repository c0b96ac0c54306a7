"""Comparison of two tables of results: better, worse, equivalent and undecided cells.

Cells in both tables are compared with Student's or Welch's t test (1908, 1947). Their failed
trainings are compared with Fisher's exact test (1935). Both tests have Holm's correction (1979) over
the cells of a metric. Values measured under different protocols are never compared.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ganbench.counts import count_of, format_signed
from ganbench.evaluation.metric_names import (
    depends_on_features,
    features_of_plan,
    name_with_features,
)
from ganbench.experiments.plan_names import ENDED_OUTCOMES
from ganbench.registry import SpecError, suggest

from .contrasts import Change, arm_difference, estimate_contrast, holm_correct
from .intervals import (
    CONFIDENCE_LEVEL,
    SCALES,
    is_improvement,
    ratio_or_difference,
    t_interval,
)
from .rates import wilson_interval
from .rows import ARM_COLUMNS, name_processors
from .verdicts import ComparisonVerdict

# In the order of sentences.
COMPARISON_VERDICTS = (
    ComparisonVerdict.IDENTICAL,
    ComparisonVerdict.BETTER,
    ComparisonVerdict.WORSE,
    ComparisonVerdict.EQUIVALENT,
    ComparisonVerdict.UNDECIDED,
    ComparisonVerdict.NEW,
    ComparisonVerdict.MISSING,
    ComparisonVerdict.NOT_COMPARABLE,
)
UNTESTED_VERDICTS = COMPARISON_VERDICTS[-3:]
# The fields of TrainingOutcome.
COMPARED_COLUMNS = ["value", "outcome", "reason", "protocol", "metric_version"]
COUNT_FIELDS = ("failed_before", "ended_before", "failed_after", "ended_after")
UNIT_OF_TRANSFORM = {"log": "ratio", "none": "difference", "logit": "log odds"}  # unit of a change

Names = tuple[str, ...]


@dataclass(frozen=True)
class CellComparison:
    """A metric before and after, in one cell or on average over all matched cells."""

    metric: str
    direction: str  # the better direction: lower or higher
    data: str = ""  # the cell's names; empty for the mean over all cells
    variant: str = ""
    loss: str = ""
    tricks: str = ""
    plan: str = ""
    cells: int = 0  # with values before and after
    seeds: int = 0  # in these cells: pairs, or the seeds of the side with fewer
    paired: bool = False  # by seed
    before: float = math.nan  # the cell's mean, in the unit of the metric
    after: float = math.nan
    unit: str = "ratio"  # of the change: ratio (after / before), difference, log odds
    change: float = math.nan
    low: float = math.nan  # 95 % interval of this change, not corrected
    high: float = math.nan
    p: float = math.nan  # two-sided, Holm-corrected over the cells (for the mean: over the metrics)
    failed_before: int = 0  # diverged or failed
    ended_before: int = 0  # diverged, failed or done
    failed_after: int = 0
    ended_after: int = 0
    excess: float = 0.0  # failures after, minus the number expected from both sides together
    failure_p: float = math.nan  # two-sided, Holm-corrected over the cells (for the mean: one test)
    margin: float = 0.0  # a ratio between 1 - margin and 1 / (1 - margin) is no change
    verdict: ComparisonVerdict | None = None  # None before it is tested
    reason: str = ""  # why the cell was not compared
    features: str = ""  # the features of the metric; empty for Inception's

    @property
    def display_name(self) -> str:
        """The metric with its features: `FID (digits' classifier)`."""
        return name_with_features(self.metric, self.features)

    @property
    def is_decided_by_failures(self) -> bool:
        """Whether more or fewer trainings fail, whatever the values of the others."""
        return self.failure_p < 1 - CONFIDENCE_LEVEL


@dataclass(frozen=True)
class TrainingOutcome:
    """The table's entries for one training and one metric at the last checkpoint."""

    value: float  # NaN if there is none
    outcome: str | None
    reason: str | None
    protocol: str | None
    version: int | None  # of the metric

    def has_ended(self) -> bool:
        return self.outcome in ENDED_OUTCOMES

    def has_failed(self) -> bool:
        return self.has_ended() and self.outcome != "done"

    def value_or_none(self) -> float | None:
        return None if math.isnan(self.value) else self.value


Side = dict[int, TrainingOutcome]  # the trainings of a cell by seed


@dataclass(frozen=True)
class MatchedCell:
    """The trainings of one cell before and after.

    `refusal` is the reason why their values are not comparable, or empty.
    """

    names: Names
    before: Side
    after: Side
    refusal: str = ""

    def untested_verdict(self) -> tuple[ComparisonVerdict | None, str]:
        """Returns a verdict that needs no test, with its reason.

        The verdict is None if the cell has to be tested.
        """
        if not count_ended(self.before):
            return ComparisonVerdict.NEW, describe_absence(self.before)
        if not count_ended(self.after):
            return ComparisonVerdict.MISSING, describe_absence(self.after)
        if self.refusal:
            return ComparisonVerdict.NOT_COMPARABLE, self.refusal
        is_same = has_same_results(self.before, self.after)
        return (ComparisonVerdict.IDENTICAL if is_same else None), ""


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
    metric. A significant change in failures decides the verdict, whatever the values of the other trainings.

    `margin` is a share from 0 to below 1; by default, the margin that the suite of `b` declares. `metrics`
    defaults to the metrics of both frames. Raises SpecError for an invalid margin or metric.
    """
    share = declared_margin(b, margin)
    comparisons = []
    for metric in shared_metrics(a, b, metrics):
        raw = [comparison for comparison, _ in compare_cells(a, b, metric, share)]
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
    raw = [
        mean_comparison(blank_comparison(a, b, m, share), list(compare_cells(a, b, m, share)))
        for m in chosen
    ]
    values = holm_correct([c.p for c in raw])
    return [with_verdict(c, p, c.failure_p) for c, p in zip(raw, values, strict=True)]


def comparisons_to_frame(comparisons: Sequence[CellComparison]) -> pd.DataFrame:
    """Returns a frame with one row per comparison.

    The columns are the fields of CellComparison, also if there are no rows.
    """
    columns = [field.name for field in fields(CellComparison)]
    return pd.DataFrame([asdict(c) for c in comparisons], columns=columns)


def list_condition_differences(a: pd.DataFrame, b: pd.DataFrame) -> list[str]:
    """Returns the differences in training conditions, as sentences.

    Each of them may be the cause of a change in the results.
    """
    before, after = training_conditions(a), training_conditions(b)
    pairs = {name: (before.get(name, "-"), after.get(name, "-")) for name in before | after}
    changed = [f"{name}: {x} before, {y} after" for name, (x, y) in pairs.items() if x != y]
    return changed + describe_changed_code(a, b)


# The matched cells


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


def match_cells(a: pd.DataFrame, b: pd.DataFrame, metric: str) -> list[MatchedCell]:
    """Returns the cells that were trained in either frame, in the order of `b`."""
    before, after = trainings_by_cell(a, metric), trainings_by_cell(b, metric)
    every = dict.fromkeys([*after, *before])
    cells = [MatchedCell(names, before.get(names, {}), after.get(names, {})) for names in every]
    scales = [describe_scale(frame, metric) for frame in (a, b)]
    reasons = incomparable_datasets(metric, scales, cells)
    trained = [match for match in cells if count_ended(match.before) or count_ended(match.after)]
    return [replace(match, refusal=reasons[match.names[0]]) for match in trained]


def trainings_by_cell(frame: pd.DataFrame, metric: str) -> dict[Names, Side]:
    """Returns the trainings of each cell, keyed by seed."""
    last = frame["role"].eq("trial") & frame["checkpoint"].eq("last")
    rows = frame.loc[last & frame["metric"].eq(metric), [*ARM_COLUMNS, "seed", *COMPARED_COLUMNS]]
    cells: dict[Names, Side] = {}
    width = len(ARM_COLUMNS)
    for row in rows.itertuples(index=False, name=None):
        names, seed, entries = row[:width], row[width], row[width + 1 :]
        cells.setdefault(names, {})[int(seed)] = TrainingOutcome(*entries)
    return cells


def incomparable_datasets(
    metric: str, scales: list[str], cells: Sequence[MatchedCell]
) -> dict[str, str]:
    """Returns for each data set why the metric's values are not comparable.

    The reason is empty for comparable data sets.
    """
    cells_by_dataset: dict[str, list[MatchedCell]] = {}
    for match in cells:
        cells_by_dataset.setdefault(match.names[0], []).append(match)
    if scales[0] != scales[1]:
        reason = f"{metric} is declared differently: {scales[0]} before; {scales[1]} after"
        return dict.fromkeys(cells_by_dataset, reason)
    return {
        data: describe_changed_protocol(f"{metric} of {data}", matched)
        for data, matched in cells_by_dataset.items()
    }


def describe_changed_protocol(what: str, cells: Sequence[MatchedCell]) -> str:
    """Returns a sentence with the protocols of both sides if they differ.

    The sentence is empty if there is only one protocol, or if one side has no values.
    """
    before = measured_protocols(match.before for match in cells)
    after = measured_protocols(match.after for match in cells)
    if not before or not after or len({*before, *after}) == 1:
        return ""
    protocols = f"{' and '.join(before)} before, and by {' and '.join(after)} after"
    return f"{what} was measured by {protocols}"


def describe_scale(frame: pd.DataFrame, metric: str) -> str:
    """Describes the direction, scale and unit that a suite declares for a metric."""
    facts = frame.attrs["plan"]["metrics"][metric]
    description = f"better if {facts['direction']}, on the scale {facts['transform']}"
    return f"{description}, in {facts['unit']}" if facts["unit"] else description


def measured_protocols(sides: Iterable[Side]) -> list[str]:
    """Returns the protocols under which these trainings have values."""
    trainings = [training for side in sides for training in side.values()]
    measured = [training for training in trainings if training.value_or_none() is not None]
    return sorted({f"protocol {t.protocol} (version {t.version})" for t in measured})


def count_ended(side: Side) -> int:
    """Counts the trainings that ended, whether done, diverged or failed."""
    return sum(training.has_ended() for training in side.values())


def describe_absence(side: Side) -> str:
    """Returns the reason why no training of a cell ended on one side."""
    reasons = [t.reason for t in side.values() if t.outcome == "not_applicable"]
    if reasons:
        return f"not applicable: {reasons[0]}"
    return "not trained" if side else "not planned"


def has_same_results(before: Side, after: Side) -> bool:
    """Returns whether all seeds that ended on both sides have the same outcomes and values.

    Values are compared exactly, to the last bit.
    """
    results = [
        (result_of(before[seed]), result_of(after[seed]))
        for seed in before.keys() & after.keys()
        if before[seed].has_ended() and after[seed].has_ended()
    ]
    has_values = any(value is not None for (_, value), _ in results)
    return has_values and all(earlier == later for earlier, later in results)


def result_of(training: TrainingOutcome) -> tuple[str | None, float | None]:
    return training.outcome, training.value_or_none()


def transformed_values(side: Side, transform: str = "none") -> dict[int, float]:
    """Returns the measured values by seed, on the transformed scale."""
    to = SCALES[transform].to
    values = {seed: training.value_or_none() for seed, training in side.items()}
    return {seed: to(value) for seed, value in values.items() if value is not None}


def training_conditions(frame: pd.DataFrame) -> dict[str, str]:
    """Returns a suite's budget, device, seeds, metrics, versions and processors as texts."""
    plan = frame.attrs["plan"]
    spent = plan["budget"]
    conditions = {"budget": f"{spent['amount']:,} {spent['unit'].replace('_', ' ')}"}
    conditions |= {"device": plan["device"], "seeds": ", ".join(map(str, plan["seeds"]))}
    conditions |= {"metrics": ", ".join(plan["metrics"])} | plan["provenance"]
    return conditions | name_processors(frame)


def describe_changed_code(a: pd.DataFrame, b: pd.DataFrame) -> list[str]:
    """Returns a sentence with the number of cells with changed training code, if any."""
    before, after = code_by_cell(a), code_by_cell(b)
    both = before.index.intersection(after.index)
    count = int((before[both] != after[both]).sum())
    return [f"training code: changed in {count} of {count_of(len(both), 'cell')}"] if count else []


def code_by_cell(frame: pd.DataFrame) -> "pd.Series[Any]":
    """Returns for each cell the set of hashes of the code that trained it."""
    trained = frame[frame["role"].eq("trial") & frame["code"].notna()]
    return trained.groupby(ARM_COLUMNS)["code"].agg(frozenset)


# The tests


def compare_cells(
    a: pd.DataFrame, b: pd.DataFrame, metric: str, margin: float
) -> Iterator[tuple[CellComparison, Change | None]]:
    """Yields each cell's comparison without its verdict, and its change.

    The change is None unless both sides have comparable values.
    """
    transform = b.attrs["plan"]["metrics"][metric]["transform"]
    for match in match_cells(a, b, metric):
        cell = replace(blank_comparison(a, b, metric, margin), **describe_match(match, transform))
        if has_nothing_to_compare(cell):
            continue
        if cell.verdict in UNTESTED_VERDICTS:
            yield cell, None
        else:
            own = change_between(match, transform, cell.paired)
            yield with_tests(cell, [own] if own else [], [failure_counts(cell)]), own


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
    facts = plan["metrics"][metric]
    return CellComparison(
        metric,
        facts["direction"],
        paired=pairs_by_seed(a, b),
        unit=UNIT_OF_TRANSFORM[facts["transform"]],
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
        before = {seed: before[seed] for seed in both}
        after = {seed: after[seed] for seed in both}
    if not before or not after:
        return None
    return arm_difference(np.array([*after.values()]), np.array([*before.values()]), paired)


def mean_comparison(
    blank: CellComparison, cells: Sequence[tuple[CellComparison, Change | None]]
) -> CellComparison:
    """Averages the changes of all cells and adds up their failed trainings.

    The returned comparison has no tested verdict yet.
    """
    matched = [c for c, _ in cells if c.verdict not in UNTESTED_VERDICTS]
    refused = dict.fromkeys(
        c.reason for c, _ in cells if c.verdict is ComparisonVerdict.NOT_COMPARABLE
    )
    totals: dict[str, Any] = {name: sum(getattr(c, name) for c in matched) for name in COUNT_FIELDS}
    verdict = classify_without_test(matched)
    named = replace(blank, verdict=verdict, reason="; ".join(refused), **totals)
    changes = [change for _, change in cells if change]
    return with_tests(named, changes, [failure_counts(c) for c in matched])


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


def failure_counts(c: CellComparison) -> Sequence[int]:
    return [getattr(c, name) for name in COUNT_FIELDS]


def with_tests(
    c: CellComparison, changes: Sequence[Change], table: Sequence[Sequence[int]]
) -> CellComparison:
    """Returns the comparison with the mean change and the tests of values and failures."""
    combined = estimate_contrast(changes)
    transform = "log" if c.unit == "ratio" else "none"
    ends = (combined.mean, *combined.interval())
    middle, low, high = (ratio_or_difference(value, transform) for value in ends)
    excess, failure_p = fisher_test(table)
    seeds = sum(each.seeds for each in changes)
    c = replace(c, cells=len(changes), seeds=seeds, excess=excess, failure_p=failure_p)
    return replace(c, change=middle, low=low, high=high, p=combined.p())


def fisher_test(table: Sequence[Sequence[int]]) -> tuple[float, float]:
    """Computes the excess of failures after, and its exact two-sided p.

    `table` has one row per cell: failed and ended before, failed and ended after. The excess is the number
    of failures after, minus their expected number. The total failures of each cell are held fixed, as in
    Fisher's test of one table. p is NaN if the failures could be distributed in one way only.
    """
    null, excess, observed = np.ones(1), 0.0, 0
    for failed_before, ended_before, failed_after, ended_after in table:
        lost, total = failed_before + failed_after, ended_before + ended_after
        if 0 < lost < total:
            cell_null = stats.hypergeom.pmf(np.arange(lost + 1), total, lost, ended_after)
            null = np.convolve(null, cell_null)
            observed += failed_after
            excess += failed_after - lost * ended_after / total
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
    if c.unit == "ratio" and 1 - c.margin < c.low and c.high < 1 / (1 - c.margin):
        return ComparisonVerdict.EQUIVALENT
    if c.p < 1 - CONFIDENCE_LEVEL:
        is_better = is_improvement(c.change, c.direction, 1.0 if c.unit == "ratio" else 0.0)
        return ComparisonVerdict.BETTER if is_better else ComparisonVerdict.WORSE
    return ComparisonVerdict.UNDECIDED


# Sentences


def summarize_comparisons(comparisons: Sequence[CellComparison]) -> list[str]:
    """Returns one sentence per metric with the number of cells per verdict.

    Further sentences give the reasons for cells that are not comparable.
    """
    names = dict.fromkeys(c.display_name for c in comparisons)
    sentences = [format_tally(n, [c for c in comparisons if c.display_name == n]) for n in names]
    refused = dict.fromkeys(
        c.reason for c in comparisons if c.verdict is ComparisonVerdict.NOT_COMPARABLE
    )
    return [*sentences, *(f"Not comparable: {reason}." for reason in refused if reason)]


def format_tally(metric: str, comparisons: Sequence[CellComparison]) -> str:
    """Returns a sentence such as `FID of 5 cells: 2 better, 1 undecided, 2 new.`"""
    counted = Counter(c.verdict for c in comparisons)
    counts = ", ".join(f"{counted[v]} {v}" for v in COMPARISON_VERDICTS if counted[v])
    return f"{metric} of {count_of(len(comparisons), 'cell')}: {counts}."


def format_comparison(c: CellComparison) -> str:
    """Describes one comparison in a sentence that is no stronger than its interval."""
    names = " / ".join(filter(None, (c.data, c.variant, c.loss, c.tricks, c.plan)))
    return f"{names or 'mean over all matched cells'}, {c.display_name}: {format_verdict(c)}{format_failures(c)}."


def format_verdict(c: CellComparison) -> str:
    if c.verdict is ComparisonVerdict.NEW:
        return f"new, measured only after (before: {c.reason})"
    if c.verdict is ComparisonVerdict.MISSING:
        return f"missing, measured only before (after: {c.reason})"
    if c.verdict is ComparisonVerdict.NOT_COMPARABLE:
        return f"not comparable, {c.reason or 'no cell was trained on both sides'}"
    if c.verdict is ComparisonVerdict.IDENTICAL:
        return "the same numbers in all trainings that both sides have"
    detail = f" within {100 * c.margin:g} %" if c.verdict is ComparisonVerdict.EQUIVALENT else ""
    if c.is_decided_by_failures:
        detail = f", {'more' if c.excess > 0 else 'fewer'} trainings fail"
    return f"{c.verdict}{detail}, {format_amount(c)}"


def format_amount(c: CellComparison) -> str:
    """Returns, for example, `0.71 times as much [0.63, 0.80], 5 pairs, p = 0.003`."""
    if math.isnan(c.change):
        return "no values on both sides"
    form = ".3g" if c.unit == "ratio" else "+.3g"
    change, low, high = (format_signed(value, form) for value in (c.change, c.low, c.high))
    words = {"ratio": " times as much", "log odds": " in log odds"}.get(c.unit, "")
    seeds = count_of(c.seeds, "pair" if c.paired else "seed")
    if math.isnan(c.low):
        return f"{change}{words}, {seeds}, without an interval"
    return f"{change}{words} [{low}, {high}], {seeds}, p = {format_signed(c.p, '.2g')}"


def format_failures(c: CellComparison) -> str:
    """Describes the failures of both sides, with Wilson's intervals.

    Example: `; failed 0 of 5 (0 % to 43 %) before, 5 of 5 (57 % to 100 %) after`.
    """
    sides = (("before", c.failed_before, c.ended_before), ("after", c.failed_after, c.ended_after))
    if not c.failed_before + c.failed_after:
        return ""
    parts = []
    for side, count, total in sides:
        if total:
            low, high = wilson_interval(count, total)
            parts.append(f"{count} of {total} ({100 * low:.0f} % to {100 * high:.0f} %) {side}")
    return f"; failed {', '.join(parts)}"
