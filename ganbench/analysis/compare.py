"""Compare: what became better, worse or stayed alike from one table of results to another.

Cells that both tables have are read by Student's or Welch's t (1908, 1947), and how many of their
trainings failed by Fisher's exact test (1935), both with Holm's correction (1979) over the cells
of a metric. Numbers of different protocols are never compared.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ganbench.registry import SpecError, suggest

from .contrasts import Change, arm_difference, estimate_contrast, holm_correct
from .effects import ratio_or_difference
from .intervals import CONFIDENCE_LEVEL, SCALES, t_interval
from .rates import ENDED_OUTCOMES, wilson_interval
from .rows import ARM_COLUMNS

COMPARISON_VERDICTS = (
    "identical",  # the same numbers to the last bit, in every training that both have
    "better",
    "worse",
    "equivalent",  # the interval of a ratio lies within the margin
    "undecided",  # the seeds do not suffice, or there are no numbers
    "fails more",
    "fails less",
    "new",  # trained only after
    "missing",  # trained only before
    "not comparable",
)
UNTESTED_VERDICTS = ("new", "missing", "not comparable")
# The fields of TrainingOutcome.
COMPARED_COLUMNS = ["value", "outcome", "reason", "protocol", "metric_version"]
COUNT_FIELDS = ("failed_before", "ended_before", "failed_after", "ended_after")
UNIT_OF_TRANSFORM = {"log": "ratio", "none": "difference", "logit": "log odds"}  # of a change

Names = tuple[str, ...]


@dataclass(frozen=True)
class CellComparison:
    """A metric of one cell, or its mean over all matched cells, before and after."""

    metric: str
    direction: str  # which is better: lower, higher
    data: str = ""  # the cell's names; of the mean over all cells empty
    variant: str = ""
    loss: str = ""
    tricks: str = ""
    plan: str = ""
    cells: int = 0  # that have values before and after
    seeds: int = 0  # of those cells: pairs, or what the side with fewer has
    paired: bool = False  # by seed
    before: float = math.nan  # the cell's mean on the metric's own scale
    after: float = math.nan
    unit: str = "ratio"  # of the change: ratio (after over before), difference, log odds
    change: float = math.nan
    low: float = math.nan  # 95 % interval of this change alone
    high: float = math.nan
    p: float = math.nan  # two-sided, Holm-corrected over the cells (the mean: over the metrics)
    failed_before: int = 0  # diverged or failed
    ended_before: int = 0  # these, or done
    failed_after: int = 0
    ended_after: int = 0
    excess: float = 0.0  # failures after, beyond as many as both sides together make one expect
    failure_p: float = math.nan  # two-sided, Holm-corrected over the cells (the mean: one test)
    margin: float = 0.0  # a ratio between 1 - margin and 1 / (1 - margin) counts as none
    verdict: str = ""  # one of COMPARISON_VERDICTS
    reason: str = ""  # why there is nothing to compare


@dataclass(frozen=True)
class TrainingOutcome:
    """A table's entries for a metric of one training at the last checkpoint."""

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


Side = dict[int, TrainingOutcome]  # of a cell, by seed


@dataclass(frozen=True)
class MatchedCell:
    """One cell's trainings before and after, and why their numbers do not compare."""

    names: Names
    before: Side
    after: Side
    refusal: str = ""

    def untested_verdict(self) -> tuple[str, str]:
        """What needs no test: a verdict and its reason, or nothing."""
        if not count_ended(self.before):
            return "new", describe_absence(self.before)
        if not count_ended(self.after):
            return "missing", describe_absence(self.after)
        if self.refusal:
            return "not comparable", self.refusal
        return ("identical" if has_same_results(self.before, self.after) else ""), ""


def compare_runs(
    a: pd.DataFrame,
    b: pd.DataFrame,
    margin: float | None = None,
    metrics: list[str] | None = None,
) -> list[CellComparison]:
    """Every cell that was trained before (`a`) or after (`b`), metric by metric.

    Both are frames of `rows.load`. Cells are matched by data set, variant, loss, tricks and plan, and
    read at the last checkpoint: by pairs if both suites declare these and have the same seeds, else
    by Welch's test. Values and failures have a test each, both with at most 5 % false alarms over
    the cells of a metric; a cell that fails more or less is called so, however its survivors score.
    `margin`, a share from 0 to below 1, is the one that `b` declares unless given; `metrics` are
    those of both. Raises SpecError for a margin or a metric that cannot be.
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
    """Each metric's mean change over all matched cells, from the arguments of `compare_runs`.

    The cells are those that there are, not a sample: the error comes from the seeds within each.
    Identical are the numbers of all trainings that both have, which is more than to be equivalent.
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
    """A row a comparison; its columns are the fields of CellComparison, also where there is no row."""
    columns = [field.name for field in fields(CellComparison)]
    return pd.DataFrame([asdict(c) for c in comparisons], columns=columns)


def list_condition_differences(a: pd.DataFrame, b: pd.DataFrame) -> list[str]:
    """What else is not the same before and after, in sentences: any of it may be the reason."""
    before, after = training_conditions(a), training_conditions(b)
    pairs = {name: (before.get(name, "-"), after.get(name, "-")) for name in before | after}
    changed = [f"{name}: {x} before, {y} after" for name, (x, y) in pairs.items() if x != y]
    return changed + describe_changed_code(a, b)


# The matched cells


def shared_metrics(a: pd.DataFrame, b: pd.DataFrame, metrics: list[str] | None) -> list[str]:
    """The metrics of both suites, or the requested ones."""
    before, after = a.attrs["plan"]["metrics"], b.attrs["plan"]["metrics"]
    both = [metric for metric in after if metric in before]
    for metric in metrics or []:
        if metric not in {**before, **after}:
            raise SpecError(f"no metric here is called {metric!r}{suggest(metric, both)}")
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
        raise SpecError(f"a margin is a share from 0 to below 1, such as 0.02, not {margin}")
    return float(margin)


def pairs_by_seed(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    """Do both suites declare pairs, and have the same seeds?"""
    plans = [frame.attrs["plan"] for frame in (a, b)]
    declared = all(plan["analysis"]["paired"] for plan in plans)
    return declared and set(plans[0]["seeds"]) == set(plans[1]["seeds"])


def match_cells(a: pd.DataFrame, b: pd.DataFrame, metric: str) -> list[MatchedCell]:
    """The cells that were trained on either side, in the order of the second."""
    before, after = trainings_by_cell(a, metric), trainings_by_cell(b, metric)
    every = dict.fromkeys([*after, *before])
    cells = [MatchedCell(names, before.get(names, {}), after.get(names, {})) for names in every]
    scales = [describe_scale(frame, metric) for frame in (a, b)]
    reasons = incomparable_datasets(metric, scales, cells)
    trained = [match for match in cells if count_ended(match.before) or count_ended(match.after)]
    return [replace(match, refusal=reasons[match.names[0]]) for match in trained]


def trainings_by_cell(frame: pd.DataFrame, metric: str) -> dict[Names, Side]:
    """Each cell's trainings by seed."""
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
    """For each data set why this metric's numbers do not compare, or nothing."""
    cells_by_dataset: dict[str, list[MatchedCell]] = {}
    for match in cells:
        cells_by_dataset.setdefault(match.names[0], []).append(match)
    if scales[0] != scales[1]:
        reason = f"{metric} is {scales[0]} before, and {scales[1]} after"
        return dict.fromkeys(cells_by_dataset, reason)
    return {
        data: describe_changed_protocol(f"{metric} of {data}", matched)
        for data, matched in cells_by_dataset.items()
    }


def describe_changed_protocol(what: str, cells: Sequence[MatchedCell]) -> str:
    """By which protocols this was measured on either side, or nothing if by a single one."""
    before = measured_protocols(match.before for match in cells)
    after = measured_protocols(match.after for match in cells)
    if not before or not after or len({*before, *after}) == 1:
        return ""
    protocols = f"{' and '.join(before)} before, and by {' and '.join(after)} after"
    return f"{what} was measured by {protocols}"


def describe_scale(frame: pd.DataFrame, metric: str) -> str:
    """Direction, scale and unit of a metric, as a suite declares them."""
    facts = frame.attrs["plan"]["metrics"][metric]
    description = f"better if {facts['direction']}, on the scale {facts['transform']}"
    return f"{description}, in {facts['unit']}" if facts["unit"] else description


def measured_protocols(sides: Iterable[Side]) -> list[str]:
    """The protocols by which these trainings have a value."""
    trainings = [training for side in sides for training in side.values()]
    measured = [training for training in trainings if training.value_or_none() is not None]
    return sorted({f"protocol {t.protocol} (version {t.version})" for t in measured})


def count_ended(side: Side) -> int:
    """How many trainings ended in whatever way."""
    return sum(training.has_ended() for training in side.values())


def describe_absence(side: Side) -> str:
    """Why nothing of a cell ended on one side."""
    reasons = [t.reason for t in side.values() if t.outcome == "not_applicable"]
    if reasons:
        return f"not applicable: {reasons[0]}"
    return "not trained" if side else "not planned"


def has_same_results(before: Side, after: Side) -> bool:
    """Have the seeds that ended on both sides the same outcomes and values, to the last bit?"""
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
    """The measured values by seed, on the transformed scale."""
    to = SCALES[transform].to
    values = {seed: training.value_or_none() for seed, training in side.items()}
    return {seed: to(value) for seed, value in values.items() if value is not None}


def training_conditions(frame: pd.DataFrame) -> dict[str, str]:
    """The budget, device, seeds, metrics and provenance of a suite's trainings, as texts."""
    plan = frame.attrs["plan"]
    spent = plan["budget"]
    conditions = {"budget": f"{spent['amount']:,} {spent['unit'].replace('_', ' ')}"}
    conditions |= {"device": plan["device"], "seeds": ", ".join(map(str, plan["seeds"]))}
    return conditions | {"metrics": ", ".join(plan["metrics"])} | plan["provenance"]


def describe_changed_code(a: pd.DataFrame, b: pd.DataFrame) -> list[str]:
    """In how many cells the code that trained them changed, as a sentence if it did in any."""
    before, after = code_by_cell(a), code_by_cell(b)
    both = before.index.intersection(after.index)
    count = int((before[both] != after[both]).sum())
    return [f"sources of the training: changed in {count} of {len(both)} cells"] if count else []


def code_by_cell(frame: pd.DataFrame) -> "pd.Series[Any]":
    """The hashes of the code that trained each cell, as a set."""
    trained = frame[frame["role"].eq("trial") & frame["code"].notna()]
    return trained.groupby(ARM_COLUMNS)["code"].agg(frozenset)


# The tests


def compare_cells(
    a: pd.DataFrame, b: pd.DataFrame, metric: str, margin: float
) -> Iterator[tuple[CellComparison, Change | None]]:
    """Each cell without its verdict, and its change where both sides have values that compare."""
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
    """Has the metric no value on either side, though trainings ended well: points have no IS."""
    ended_well = cell.ended_before > cell.failed_before or cell.ended_after > cell.failed_after
    return ended_well and math.isnan(cell.before) and math.isnan(cell.after)


def blank_comparison(
    a: pd.DataFrame, b: pd.DataFrame, metric: str, margin: float
) -> CellComparison:
    """A comparison with its metric, pairing, unit and margin, and no results."""
    facts = b.attrs["plan"]["metrics"][metric]
    unit = UNIT_OF_TRANSFORM[facts["transform"]]
    paired = pairs_by_seed(a, b)
    return CellComparison(metric, facts["direction"], paired=paired, unit=unit, margin=margin)


def describe_match(match: MatchedCell, transform: str) -> dict[str, Any]:
    """A cell's names, means and failures, and its verdict if that needs no test."""
    comparison: dict[str, Any] = dict(zip(ARM_COLUMNS, match.names, strict=True))
    comparison["verdict"], comparison["reason"] = match.untested_verdict()
    for name, side in (("before", match.before), ("after", match.after)):
        comparison[name] = t_interval(list(transformed_values(side).values()), transform).mean
        comparison[f"failed_{name}"] = sum(training.has_failed() for training in side.values())
        comparison[f"ended_{name}"] = count_ended(side)
    return comparison


def change_between(match: MatchedCell, transform: str, paired: bool) -> Change | None:
    """After less before on the transformed scale; None if there are no two values to compare."""
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
    """The cells' mean change without its verdict, and how many trainings all of them lost."""
    matched = [c for c, _ in cells if c.verdict not in UNTESTED_VERDICTS]
    refused = dict.fromkeys(c.reason for c, _ in cells if c.verdict == "not comparable")
    totals: dict[str, Any] = {name: sum(getattr(c, name) for c in matched) for name in COUNT_FIELDS}
    verdict = classify_without_test(matched)
    named = replace(blank, verdict=verdict, reason="; ".join(refused), **totals)
    changes = [change for _, change in cells if change]
    return with_tests(named, changes, [failure_counts(c) for c in matched])


def classify_without_test(matched: Sequence[CellComparison]) -> str:
    """Whether all cells with values have the same ones, or whether there is none at all."""
    if not matched:
        return "not comparable"
    measured = [c for c in matched if not (math.isnan(c.before) and math.isnan(c.after))]
    return "identical" if measured and all(c.verdict == "identical" for c in measured) else ""


def failure_counts(c: CellComparison) -> Sequence[int]:
    return [getattr(c, name) for name in COUNT_FIELDS]


def with_tests(
    c: CellComparison, changes: Sequence[Change], table: Sequence[Sequence[int]]
) -> CellComparison:
    """The comparison with the mean of these changes and the tests of values and of failures."""
    combined = estimate_contrast(changes)
    transform = "log" if c.unit == "ratio" else "none"
    ends = (combined.mean, *combined.interval())
    middle, low, high = (ratio_or_difference(value, transform) for value in ends)
    excess, failure_p = fisher_test(table)
    seeds = sum(each.seeds for each in changes)
    c = replace(c, cells=len(changes), seeds=seeds, excess=excess, failure_p=failure_p)
    return replace(c, change=middle, low=low, high=high, p=combined.p())


def fisher_test(table: Sequence[Sequence[int]]) -> tuple[float, float]:
    """How many more failed after than one expects, and the exact two-sided p of that.

    One row per cell: failed and ended before, failed and ended after. Each cell keeps the failures
    that it has in all, as in Fisher's test of one; p is NaN if they could not have fallen otherwise.
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
    p = float(null[null <= null[observed] * (1 + 1e-7)].sum())  # equal ones differ by rounding
    return excess, min(1.0, p)


def with_verdict(c: CellComparison, p: float, failure_p: float) -> CellComparison:
    """The comparison with corrected p and its verdict, no stronger than its interval."""
    c = replace(c, p=p, failure_p=failure_p)
    return replace(c, verdict=c.verdict or decide_comparison_verdict(c))


def decide_comparison_verdict(c: CellComparison) -> str:
    if c.failure_p < 1 - CONFIDENCE_LEVEL:
        return "fails more" if c.excess > 0 else "fails less"
    if c.unit == "ratio" and 1 - c.margin < c.low and c.high < 1 / (1 - c.margin):
        return "equivalent"
    if c.p < 1 - CONFIDENCE_LEVEL:
        falls = c.change < (1 if c.unit == "ratio" else 0)
        return "better" if falls == (c.direction == "lower") else "worse"
    return "undecided"


# In words


def summarize_comparisons(comparisons: Sequence[CellComparison]) -> list[str]:
    """How many cells of each metric came out how, a sentence each, and what was not compared."""
    metrics = dict.fromkeys(c.metric for c in comparisons)
    sentences = [format_tally(m, [c for c in comparisons if c.metric == m]) for m in metrics]
    refused = dict.fromkeys(c.reason for c in comparisons if c.verdict == "not comparable")
    return [*sentences, *(f"Not comparable: {reason}." for reason in refused if reason)]


def format_tally(metric: str, comparisons: Sequence[CellComparison]) -> str:
    """`fid of 5 cells: 2 better, 1 undecided, 2 new.`"""
    counted = Counter(c.verdict for c in comparisons)
    counts = ", ".join(f"{counted[v]} {v}" for v in COMPARISON_VERDICTS if counted[v])
    return f"{metric} of {format_count(len(comparisons), 'cell')}: {counts}."


def format_comparison(c: CellComparison) -> str:
    """One comparison in a sentence, no stronger than its interval."""
    names = " / ".join(filter(None, (c.data, c.variant, c.loss, c.tricks, c.plan)))
    return f"{names or 'mean over all matched cells'}, {c.metric}: {format_verdict(c)}{format_failures(c)}."


def format_verdict(c: CellComparison) -> str:
    if c.verdict == "new":
        return f"new, measured only after (before: {c.reason})"
    if c.verdict == "missing":
        return f"missing, measured only before (after: {c.reason})"
    if c.verdict == "not comparable":
        return f"not comparable, {c.reason or 'no cell was trained on both sides'}"
    if c.verdict == "identical":
        return "the same numbers in all trainings that both sides have"
    within = f" within {100 * c.margin:g} %" if c.verdict == "equivalent" else ""
    return f"{c.verdict}{within}, {format_amount(c)}"


def format_amount(c: CellComparison) -> str:
    """`0.71 times as much [0.63, 0.80], 5 pairs, p = 0.003`, or that there is no interval."""
    if math.isnan(c.change):
        return "no values on both sides"
    form = "{:.3g}" if c.unit == "ratio" else "{:+.3g}"
    words = {"ratio": " times as much", "log odds": " in log odds"}.get(c.unit, "")
    seeds = format_count(c.seeds, "pair" if c.paired else "seed")
    if math.isnan(c.low):
        return f"{form.format(c.change)}{words}, {seeds}, without an interval"
    return (
        f"{form.format(c.change)}{words} [{form.format(c.low)}, {form.format(c.high)}], "
        f"{seeds}, p = {c.p:.2g}"
    )


def format_failures(c: CellComparison) -> str:
    """`; failed 0 of 5 (0 % to 43 %) before, 5 of 5 (57 % to 100 %) after`, as Wilson has it."""
    sides = (("before", c.failed_before, c.ended_before), ("after", c.failed_after, c.ended_after))
    if not c.failed_before + c.failed_after:
        return ""
    parts = []
    for side, count, total in sides:
        if total:
            low, high = wilson_interval(count, total)
            parts.append(f"{count} of {total} ({100 * low:.0f} % to {100 * high:.0f} %) {side}")
    return f"; failed {', '.join(parts)}"


def format_count(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"
