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

from ganbench.registry import SpecError, nearest

from .contrasts import Change, change, estimate, holm
from .effects import back
from .intervals import LEVEL, SCALES, t_interval
from .leaderboard import CELL
from .rates import ENDED, wilson

VERDICTS = (
    "identical",  # the same numbers to the last bit, in every training that both have
    "better",
    "worse",
    "equivalent",  # the interval of a ratio lies within the margin
    "undecided",  # the seeds do not tell, or there are no numbers
    "fails more",
    "fails less",
    "new",  # trained only after
    "missing",  # trained only before
    "not comparable",
)
UNTESTED = ("new", "missing", "not comparable")
COLUMNS = ["value", "outcome", "reason", "protocol", "metric_version"]  # the fields of Training
COUNTS = ("failed_before", "ended_before", "failed_after", "ended_after")
UNITS = {"log": "ratio", "none": "difference", "logit": "log odds"}  # by the metric's scale

Names = tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
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
    failure_p: float = math.nan  # two-sided, Holm-corrected over the cells (the mean: one question)
    margin: float = 0.0  # a ratio between 1 - margin and 1 / (1 - margin) counts as none
    verdict: str = ""  # one of VERDICTS
    reason: str = ""  # why there is nothing to compare


@dataclass(frozen=True)
class Training:
    """What a table says of a metric of one training at the last checkpoint."""

    value: float  # NaN if there is none
    outcome: str | None
    reason: str | None
    protocol: str | None
    version: int | None  # of the metric

    def ended(self) -> bool:
        return self.outcome in ENDED

    def failed(self) -> bool:
        return self.ended() and self.outcome != "done"

    def known(self) -> float | None:
        return None if math.isnan(self.value) else self.value


Side = dict[int, Training]  # of a cell, by seed


@dataclass(frozen=True)
class Match:
    """One cell's trainings before and after, and why their numbers do not compare."""

    names: Names
    before: Side
    after: Side
    refusal: str = ""

    def standing(self) -> tuple[str, str]:
        """What needs no test: a verdict and its reason, or nothing."""
        if not ended(self.before):
            return "new", absence(self.before)
        if not ended(self.after):
            return "missing", absence(self.after)
        if self.refusal:
            return "not comparable", self.refusal
        return ("identical" if same(self.before, self.after) else ""), ""


def compare(
    a: pd.DataFrame,
    b: pd.DataFrame,
    margin: float | None = None,
    metrics: list[str] | None = None,
) -> list[Comparison]:
    """Every cell that was trained before (`a`) or after (`b`), metric by metric.

    Both are frames of `rows`. Cells are matched by data set, variant, loss, tricks and plan, and
    read at the last checkpoint: by pairs if both suites declare these and have the same seeds, else
    by Welch's test. Values and failures are two questions, each with at most 5 % false alarms over
    the cells of a metric; a cell that fails more or less is called so, however its survivors score.
    `margin`, a share from 0 to below 1, is the one that `b` declares unless given; `metrics` are
    those of both. Raises SpecError for a margin or a metric that cannot be.
    """
    share = margin_of(b, margin)
    found = []
    for metric in shared(a, b, metrics):
        raw = [comparison for comparison, _ in readings(a, b, metric, share)]
        values, failures = holm([c.p for c in raw]), holm([c.failure_p for c in raw])
        found += [judged(*each) for each in zip(raw, values, failures, strict=True)]
    return found


def overall(
    a: pd.DataFrame,
    b: pd.DataFrame,
    margin: float | None = None,
    metrics: list[str] | None = None,
) -> list[Comparison]:
    """Each metric's mean change over all matched cells, from the arguments of `compare`.

    The cells are those that there are, not a sample: the error comes from the seeds within each.
    Identical are the numbers of all trainings that both have, which is more than to be equivalent.
    """
    share = margin_of(b, margin)
    chosen = shared(a, b, metrics)
    raw = [mean(titled(a, b, m, share), list(readings(a, b, m, share))) for m in chosen]
    values = holm([c.p for c in raw])
    return [judged(c, p, c.failure_p) for c, p in zip(raw, values, strict=True)]


def as_frame(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """A row a comparison; its columns are the fields of Comparison, also where there is no row."""
    columns = [field.name for field in fields(Comparison)]
    return pd.DataFrame([asdict(c) for c in comparisons], columns=columns)


def differences(a: pd.DataFrame, b: pd.DataFrame) -> list[str]:
    """What else is not the same before and after, in sentences: any of it may be the reason."""
    before, after = conditions(a), conditions(b)
    pairs = {what: (before.get(what, "-"), after.get(what, "-")) for what in before | after}
    changed = [f"{what}: {x} before, {y} after" for what, (x, y) in pairs.items() if x != y]
    return changed + other_sources(a, b)


# What is compared


def shared(a: pd.DataFrame, b: pd.DataFrame, metrics: list[str] | None) -> list[str]:
    """The metrics of both suites, or those that are asked for."""
    before, after = a.attrs["plan"]["metrics"], b.attrs["plan"]["metrics"]
    both = [metric for metric in after if metric in before]
    for metric in metrics or []:
        if metric not in {**before, **after}:
            raise SpecError(f"no metric here is called {metric!r}{nearest(metric, both)}")
        if metric not in both:
            side = "before" if metric in before else "after"
            raise SpecError(f"{metric} was measured only {side}{nearest(metric, both)}")
    if not both:
        measured = f"{', '.join(before)} before, {', '.join(after)} after"
        raise SpecError(f"no metric was measured on both sides: {measured}")
    return list(dict.fromkeys(metrics or both))


def margin_of(b: pd.DataFrame, margin: float | None) -> float:
    found = b.attrs["plan"]["analysis"]["equivalence"] if margin is None else margin
    if not 0 <= found < 1:
        raise SpecError(f"a margin is a share from 0 to below 1, such as 0.02, not {found}")
    return float(found)


def by_seed(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    """Do both suites declare pairs, and have the same seeds?"""
    plans = [frame.attrs["plan"] for frame in (a, b)]
    declared = all(plan["analysis"]["paired"] for plan in plans)
    return declared and set(plans[0]["seeds"]) == set(plans[1]["seeds"])


def matches(a: pd.DataFrame, b: pd.DataFrame, metric: str) -> list[Match]:
    """The cells that were trained on either side, in the order of the second."""
    before, after = trainings(a, metric), trainings(b, metric)
    cells = [
        Match(n, before.get(n, {}), after.get(n, {})) for n in dict.fromkeys([*after, *before])
    ]
    told = refusals(metric, [scale(frame, metric) for frame in (a, b)], cells)
    tried = [match for match in cells if ended(match.before) or ended(match.after)]
    return [replace(match, refusal=told[match.names[0]]) for match in tried]


def trainings(frame: pd.DataFrame, metric: str) -> dict[Names, Side]:
    """Each cell's trainings by seed."""
    last = frame["role"].eq("trial") & frame["checkpoint"].eq("last")
    rows = frame.loc[last & frame["metric"].eq(metric), [*CELL, "seed", *COLUMNS]]
    found: dict[Names, Side] = {}
    for row in rows.itertuples(index=False, name=None):
        names, seed, facts = row[: len(CELL)], row[len(CELL)], row[len(CELL) + 1 :]
        found.setdefault(names, {})[int(seed)] = Training(*facts)
    return found


def refusals(metric: str, scales: list[str], cells: Sequence[Match]) -> dict[str, str]:
    """For each data set why this metric's numbers do not compare, or nothing."""
    found = {}
    for data in dict.fromkeys(match.names[0] for match in cells):
        here = [match for match in cells if match.names[0] == data]
        before, after = protocols(m.before for m in here), protocols(m.after for m in here)
        found[data] = ""
        if scales[0] != scales[1]:
            found[data] = f"{metric} is {scales[0]} before, and {scales[1]} after"
        elif before and after and len({*before, *after}) > 1:
            told = f"{' and '.join(before)} before, and by {' and '.join(after)} after"
            found[data] = f"{metric} of {data} was measured by {told}"
    return found


def scale(frame: pd.DataFrame, metric: str) -> str:
    """How a plan says that a metric is to be read."""
    facts = frame.attrs["plan"]["metrics"][metric]
    told = f"better if {facts['direction']}, on the scale {facts['transform']}"
    return f"{told}, in {facts['unit']}" if facts["unit"] else told


def protocols(sides: Iterable[Side]) -> list[str]:
    """By what the values that there are were measured."""
    known = {t for side in sides for t in side.values() if t.known() is not None}
    return sorted({f"protocol {t.protocol} (version {t.version})" for t in known})


def ended(side: Side) -> int:
    """How many trainings ended in whatever way."""
    return sum(training.ended() for training in side.values())


def absence(side: Side) -> str:
    """Why nothing of a cell ended on one side."""
    reasons = [t.reason for t in side.values() if t.outcome == "not_applicable"]
    if reasons:
        return f"not applicable: {reasons[0]}"
    return "not trained" if side else "not planned"


def same(before: Side, after: Side) -> bool:
    """Have the seeds that ended on both sides the same outcomes and values, to the last bit?"""
    both = [(before[seed], after[seed]) for seed in before.keys() & after.keys()]
    ends = [(x, y) for x, y in both if x.ended() and y.ended()]
    alike = all((x.outcome, x.known()) == (y.outcome, y.known()) for x, y in ends)
    return alike and any(x.known() is not None for x, _ in ends)


def measured(side: Side, transform: str = "none") -> dict[int, float]:
    """The values that there are, by seed, on the transformed scale."""
    to = SCALES[transform].to
    return {seed: to(t.value) for seed, t in side.items() if t.known() is not None}


def conditions(frame: pd.DataFrame) -> dict[str, str]:
    """What a plan says of the circumstances of its trainings."""
    plan = frame.attrs["plan"]
    spent = plan["budget"]
    found = {"budget": f"{spent['amount']:,} {spent['unit'].replace('_', ' ')}"}
    found |= {"device": plan["device"], "seeds": ", ".join(map(str, plan["seeds"]))}
    return found | {"metrics": ", ".join(plan["metrics"])} | plan["provenance"]


def other_sources(a: pd.DataFrame, b: pd.DataFrame) -> list[str]:
    """In how many cells the code that trained them changed, as a sentence if it did in any."""
    before, after = (
        frame[frame["role"].eq("trial") & frame["code"].notna()]
        .groupby(CELL)["code"]
        .agg(frozenset)
        for frame in (a, b)
    )
    both = before.index.intersection(after.index)
    count = int((before[both] != after[both]).sum())
    return [f"sources of the training: changed in {count} of {len(both)} cells"] if count else []


# How it is read


def readings(
    a: pd.DataFrame, b: pd.DataFrame, metric: str, margin: float
) -> Iterator[tuple[Comparison, Change | None]]:
    """Each cell before it is judged, and its change where both sides have values that compare."""
    transform = b.attrs["plan"]["metrics"][metric]["transform"]
    for match in matches(a, b, metric):
        cell = replace(titled(a, b, metric, margin), **described(match, transform))
        if nothing_to_compare(cell):
            continue
        if cell.verdict in UNTESTED:
            yield cell, None
        else:
            own = change_of(match, transform, cell.paired)
            yield tested(cell, [own] if own else [], [counts(cell)]), own


def nothing_to_compare(cell: Comparison) -> bool:
    """Has the metric no value on either side, though trainings ended well: points have no IS."""
    ended_well = cell.ended_before > cell.failed_before or cell.ended_after > cell.failed_after
    return ended_well and math.isnan(cell.before) and math.isnan(cell.after)


def titled(a: pd.DataFrame, b: pd.DataFrame, metric: str, margin: float) -> Comparison:
    """A comparison that says only of what it is, and how it is made."""
    facts = b.attrs["plan"]["metrics"][metric]
    unit = UNITS[facts["transform"]]
    return Comparison(metric, facts["direction"], paired=by_seed(a, b), unit=unit, margin=margin)


def described(match: Match, transform: str) -> dict[str, Any]:
    """A cell's names, means and failures, and what may be said of it without a test."""
    found: dict[str, Any] = dict(zip(CELL, match.names, strict=True))
    found["verdict"], found["reason"] = match.standing()
    for name, side in (("before", match.before), ("after", match.after)):
        found[name] = t_interval(list(measured(side).values()), transform).mean
        found[f"failed_{name}"] = sum(training.failed() for training in side.values())
        found[f"ended_{name}"] = ended(side)
    return found


def change_of(match: Match, transform: str, paired: bool) -> Change | None:
    """After less before on the transformed scale; None if there are no two values to compare."""
    before, after = measured(match.before, transform), measured(match.after, transform)
    if paired:
        both = sorted(before.keys() & after.keys())
        before, after = ({seed: side[seed] for seed in both} for side in (before, after))
    if not before or not after:
        return None
    return change(np.array([*after.values()]), np.array([*before.values()]), paired)


def mean(blank: Comparison, cells: Sequence[tuple[Comparison, Change | None]]) -> Comparison:
    """The cells' mean change before it is judged, and what all of them lost."""
    matched = [c for c, _ in cells if c.verdict not in UNTESTED]
    refused = dict.fromkeys(c.reason for c, _ in cells if c.verdict == "not comparable")
    totals: dict[str, Any] = {name: sum(getattr(c, name) for c in matched) for name in COUNTS}
    named = replace(blank, verdict=alike(matched), reason="; ".join(refused), **totals)
    return tested(named, [own for _, own in cells if own], list(map(counts, matched)))


def alike(matched: Sequence[Comparison]) -> str:
    """Whether all cells with values have the same ones, or whether there is none at all."""
    if not matched:
        return "not comparable"
    known = [c for c in matched if not (math.isnan(c.before) and math.isnan(c.after))]
    return "identical" if known and all(c.verdict == "identical" for c in known) else ""


def counts(c: Comparison) -> Sequence[int]:
    return [getattr(c, name) for name in COUNTS]


def tested(c: Comparison, changes: Sequence[Change], table: Sequence[Sequence[int]]) -> Comparison:
    """The comparison with the mean of these changes and the tests of values and of failures."""
    found = estimate(changes)
    transform = "log" if c.unit == "ratio" else "none"
    middle, low, high = (back(value, transform) for value in (found.mean, *found.interval()))
    excess, failure_p = fisher(table)
    seeds = sum(each.seeds for each in changes)
    c = replace(c, cells=len(changes), seeds=seeds, excess=excess, failure_p=failure_p)
    return replace(c, change=middle, low=low, high=high, p=found.p())


def fisher(table: Sequence[Sequence[int]]) -> tuple[float, float]:
    """How many more failed after than one expects, and the exact two-sided p of that.

    A row a cell: failed and ended before, failed and ended after. Each cell keeps the failures that
    it has in all, as in Fisher's test of one; p is NaN if they could not have fallen otherwise.
    """
    null, excess, observed = np.ones(1), 0.0, 0
    for failed_before, ended_before, failed_after, ended_after in table:
        lost, total = failed_before + failed_after, ended_before + ended_after
        if 0 < lost < total:
            found = stats.hypergeom.pmf(np.arange(lost + 1), total, lost, ended_after)
            null, observed = np.convolve(null, found), observed + failed_after
            excess += failed_after - lost * ended_after / total
    if np.count_nonzero(null) < 2:
        return excess, math.nan
    p = float(null[null <= null[observed] * (1 + 1e-7)].sum())  # equal ones differ by rounding
    return excess, min(1.0, p)


def judged(c: Comparison, p: float, failure_p: float) -> Comparison:
    """The comparison with corrected p and what may be said of it, no stronger than its interval."""
    c = replace(c, p=p, failure_p=failure_p)
    return replace(c, verdict=c.verdict or verdict(c))


def verdict(c: Comparison) -> str:
    if c.failure_p < 1 - LEVEL:
        return "fails more" if c.excess > 0 else "fails less"
    if c.unit == "ratio" and 1 - c.margin < c.low and c.high < 1 / (1 - c.margin):
        return "equivalent"
    if c.p < 1 - LEVEL:
        falls = c.change < (1 if c.unit == "ratio" else 0)
        return "better" if falls == (c.direction == "lower") else "worse"
    return "undecided"


# In words


def summary(comparisons: Sequence[Comparison]) -> list[str]:
    """How many cells of each metric came out how, a sentence each, and what was not compared."""
    metrics = dict.fromkeys(c.metric for c in comparisons)
    said = [tally(m, [c for c in comparisons if c.metric == m]) for m in metrics]
    refused = dict.fromkeys(c.reason for c in comparisons if c.verdict == "not comparable")
    return [*said, *(f"Not comparable: {reason}." for reason in refused if reason)]


def tally(metric: str, found: Sequence[Comparison]) -> str:
    """`fid of 5 cells: 2 better, 1 undecided, 2 new.`"""
    counted = Counter(c.verdict for c in found)
    told = ", ".join(f"{counted[v]} {v}" for v in VERDICTS if counted[v])
    return f"{metric} of {number(len(found), 'cell')}: {told}."


def sentence(c: Comparison) -> str:
    """What may be said of one comparison, no more than its interval says."""
    names = " / ".join(filter(None, (c.data, c.variant, c.loss, c.tricks, c.plan)))
    return f"{names or 'mean over all matched cells'}, {c.metric}: {told(c)}{losses(c)}."


def told(c: Comparison) -> str:
    if c.verdict == "new":
        return f"new, measured only after (before: {c.reason})"
    if c.verdict == "missing":
        return f"missing, measured only before (after: {c.reason})"
    if c.verdict == "not comparable":
        return f"not comparable, {c.reason or 'no cell was trained on both sides'}"
    if c.verdict == "identical":
        return "the same numbers in all trainings that both sides have"
    within = f" within {100 * c.margin:g} %" if c.verdict == "equivalent" else ""
    return f"{c.verdict}{within}, {amount(c)}"


def amount(c: Comparison) -> str:
    """`0.71 times as much [0.63, 0.80], 5 pairs, p = 0.003`, or that there is no interval."""
    if math.isnan(c.change):
        return "no values on both sides"
    form = "{:.3g}" if c.unit == "ratio" else "{:+.3g}"
    words = {"ratio": " times as much", "log odds": " in log odds"}.get(c.unit, "")
    seeds = number(c.seeds, "pair" if c.paired else "seed")
    if math.isnan(c.low):
        return f"{form.format(c.change)}{words}, {seeds}, without an interval"
    return (
        f"{form.format(c.change)}{words} [{form.format(c.low)}, {form.format(c.high)}], "
        f"{seeds}, p = {c.p:.2g}"
    )


def losses(c: Comparison) -> str:
    """`; failed 0 of 5 (0 % to 43 %) before, 5 of 5 (57 % to 100 %) after`, as Wilson has it."""
    sides = (("before", c.failed_before, c.ended_before), ("after", c.failed_after, c.ended_after))
    if not c.failed_before + c.failed_after:
        return ""
    parts = []
    for side, count, total in sides:
        if total:
            low, high = wilson(count, total)
            parts.append(f"{count} of {total} ({100 * low:.0f} % to {100 * high:.0f} %) {side}")
    return f"; failed {', '.join(parts)}"


def number(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"
