"""The verdict of a gate: proven changes, missing comparisons, and the exit code."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ganbench.analysis.verdicts import CommandVerdict, ComparisonVerdict
from ganbench.ci.methods.base import MethodReport
from ganbench.counts import count_of

from .baseline import Baseline, FloorRecord, compare_traces
from .hypothesis_tests import (
    FAILURES_METRIC,
    MIN_TRAININGS_PER_TEST,
    CellTrainings,
    GateTest,
    run_tests,
)
from .loss_trace import LossTrace
from .power import DetectablePower, detectable_failures, detectable_powers
from .trace_comparison import TraceComparison

# Relative tolerance of a floor. Machines differ by a thousandth of it; losing 1 % of the samples exceeds it.
FLOOR_TOLERANCE = 1e-3
FLOOR_ERROR_SHARE = 0.01  # additional tolerance in standard errors, for floors near zero
MIN_BASELINE_RATIO = 2  # minimum trainings of a baseline per training of a gate
MIN_BASELINE_TRAININGS = MIN_BASELINE_RATIO * MIN_TRAININGS_PER_TEST  # of the smallest gate


@dataclass(frozen=True)
class MeasuredSide:
    """The measurements of a gate, in the form of a baseline's."""

    trainings: Mapping[str, CellTrainings]  # by cell
    floors: Mapping[str, Mapping[str, FloorRecord]] = field(default_factory=dict)
    traces: Mapping[str, LossTrace] = field(default_factory=dict)
    untraced: Mapping[str, str] = field(default_factory=dict)  # errors, of cells without a trace
    conditions: str = ""  # see BaselineProvenance.conditions
    refusals: Sequence[str] = ()  # reasons against a pass that the measured images give
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class FloorShift:
    """A floor that changed, which means that the measuring changed, not the trainings."""

    data: str
    metric: str
    before: float
    after: float

    def __str__(self) -> str:
        return (
            f"{self.metric} of held-out {self.data} was {self.before:.6g} and is {self.after:.6g}"
        )


@dataclass(frozen=True)
class GateVerdict:
    """The result of a gate: its tests, floors, canaries and missing comparisons."""

    tests: list[GateTest]
    powers: list[DetectablePower]
    moved: list[FloorShift] = field(default_factory=list)
    trace_comparisons: list[TraceComparison] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)  # missing comparisons, with their reasons
    exact: bool = False  # whether every digit of a canary must match
    notes: list[str] = field(default_factory=list)  # further remarks for the reader
    failures_caught: int | None = None  # failures that prove an increase in failures
    methods: MethodReport | None = None  # of a suite's parts against their closed forms

    @property
    def worsened_tests(self) -> list[GateTest]:
        return [test for test in self.tests if test.verdict is ComparisonVerdict.WORSE]

    @property
    def other_digits(self) -> list[TraceComparison]:
        others = (ComparisonVerdict.EQUIVALENT, ComparisonVerdict.DIFFERENT)
        return [each for each in self.trace_comparisons if each.verdict in others]

    @property
    def verdict(self) -> CommandVerdict:
        """Regressed for a proven change or another method; undecided if a comparison is missing."""
        if self.worsened_tests or self.moved or (self.exact and self.other_digits):
            return CommandVerdict.REGRESSED
        if self.methods and self.methods.faults:
            return CommandVerdict.REGRESSED
        return CommandVerdict.CANNOT_DECIDE if self.refusals else CommandVerdict.PASSED

    @property
    def exit_code(self) -> int:
        return self.verdict.exit_code


def decide_gate_verdict(
    baseline: Baseline,
    now: MeasuredSide,
    margins: Mapping[str, float],
    false_alarms: float,
    seeds: int,
    exact: bool = False,
) -> GateVerdict:
    """Runs all tests that the baseline and these trainings allow, and lists the missing ones."""
    before, scales = baseline.trainings_by_cell(), baseline.metric_scales()
    tests = run_tests(before, now.trainings, scales, margins, false_alarms)
    comparisons = compare_traces(baseline, now.traces, now.conditions)
    level = false_alarms / max(1, len(tests))
    trained = max([seeds, *(trainings.ended for trainings in now.trainings.values())])  # or lost
    has_tests = seeds >= MIN_TRAININGS_PER_TEST
    return GateVerdict(
        tests=tests,
        powers=detectable_powers(before, seeds, scales, margins, false_alarms) if has_tests else [],
        moved=find_floor_shifts(baseline, now),
        trace_comparisons=comparisons,
        refusals=[
            *list_unanswered(before, now.trainings, margins, seeds),
            *list_untested(tests),
            *now.refusals,
            *list_missing_floors(baseline, now),
            *(missing_traces(before, comparisons) if exact else ()),
        ],
        exact=exact,
        notes=[*now.notes, *list_loosened_margins(baseline, margins), *list_untraced(now)],
        failures_caught=detectable_failures(list(before.values()), trained, level),
    )


def list_untraced(now: MeasuredSide) -> Iterator[str]:
    for cell, error in now.untraced.items():
        yield f"{cell}: its trainings ended, but its canary could not be recorded: {error}"


def refused_verdict(reasons: list[str]) -> GateVerdict:
    """Returns the verdict of a gate that cannot compare anything."""
    return GateVerdict([], [], refusals=reasons)


def find_floor_shifts(baseline: Baseline, now: MeasuredSide) -> list[FloorShift]:
    """Returns the common floors that differ by more than the tolerance."""
    return [
        FloorShift(data, metric, floor.value, now.floors[data][metric].value)
        for data, floors in baseline.floors.items()
        for metric, floor in floors.items()
        if metric in now.floors.get(data, {})
        and has_floor_shifted(floor, now.floors[data][metric].value)
    ]


def has_floor_shifted(floor: FloorRecord, value: float) -> bool:
    least = FLOOR_TOLERANCE * abs(floor.value) + FLOOR_ERROR_SHARE * (floor.error or 0.0)
    return not math.isclose(value, floor.value, rel_tol=0.0, abs_tol=least)


def list_unanswered(
    before: Mapping[str, CellTrainings],
    after: Mapping[str, CellTrainings],
    margins: Mapping[str, float],
    seeds: int,
) -> list[str]:
    """Returns a sentence with the reason for each test that is missing."""
    sentences = [f"{cell}: in the baseline, but not trained" for cell in before.keys() - after]
    sentences += [f"{cell}: not in the baseline" for cell in after.keys() - before]
    for cell in before.keys() & after.keys():
        if (count := after[cell].ended) < seeds:
            sentences.append(
                f"{cell}: only {count} of {count_of(seeds, 'training')} ended, the others crashed"
            )
        for metric in margins:
            sentences += value_gaps(cell, metric, before[cell], after[cell])
    for metric in margins:
        if not any(trainings.measured_values(metric) for trainings in before.values()):
            sentences.append(f"the baseline has no value of {metric}")
    return sorted(sentences)


def list_untested(tests: Iterable[GateTest]) -> Iterator[str]:
    """Yields a sentence if no metric was tested: equal failures alone are no pass."""
    if all(test.metric == FAILURES_METRIC for test in tests):
        yield "no metric was tested"


def value_gaps(
    cell: str, metric: str, before: CellTrainings, after: CellTrainings
) -> Iterator[str]:
    """Yields a sentence for each side without enough values of a metric.

    A metric without any value in the baseline is not applicable to the cell.
    """
    recorded, well = len(before.measured_values(metric)), before.ended - before.failed
    if not recorded and well >= MIN_TRAININGS_PER_TEST:
        return
    if recorded < MIN_TRAININGS_PER_TEST:
        values = count_of(recorded, "value")
        yield f"{cell}: the baseline has {values} of {metric}, but a test needs {MIN_TRAININGS_PER_TEST}"
    here, wanted = len(after.measured_values(metric)), after.ended - after.failed
    least = max(MIN_TRAININGS_PER_TEST, wanted if recorded == well else 0)
    if here < least:
        yield f"{cell}: {metric} has {count_of(here, 'value')} of {count_of(after.ended, 'training')}"


def list_loosened_margins(baseline: Baseline, margins: Mapping[str, float]) -> Iterator[str]:
    """Yields a sentence for each margin that was tighter when the baseline was made."""
    for metric, margin in baseline.margins.items():
        if metric not in margins:
            yield f"{metric} had a margin when the baseline was made, but is not tested now"
        elif margins[metric] > margin:
            yield f"The margin of {metric} was {margin:g} when the baseline was made, and is {margins[metric]:g}"


def list_missing_floors(baseline: Baseline, now: MeasuredSide) -> list[str]:
    """Returns a sentence for each floor of the baseline that is missing now."""
    return [
        f"{metric} of held-out {data} was {floor.value:.6g}, but could not be measured now"
        for data, floors in baseline.floors.items()
        for metric, floor in floors.items()
        if metric not in now.floors.get(data, {})
    ]


def missing_traces(
    before: Mapping[str, CellTrainings], comparisons: list[TraceComparison]
) -> Iterator[str]:
    """Yields a sentence for each cell without comparable canaries."""
    compared = {each.cell: each for each in comparisons}
    for cell in before:
        if cell not in compared:
            yield f"{cell}: no canary on both sides"
        elif compared[cell].verdict is ComparisonVerdict.NOT_COMPARABLE:
            yield f"{cell}: {compared[cell].detail}"
