"""The verdict of a gate: what is proven, what could not be compared, and the exit code of both."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .baseline import Baseline, FloorRecord, compare_traces
from .hypothesis_tests import MIN_TRAININGS_PER_TEST, CellTrainings, GateTest, run_tests
from .loss_trace import LossTrace, TraceComparison
from .power import DetectablePower, detectable_failures, detectable_powers

PASSED, REGRESSED, CANNOT_DECIDE = 0, 1, 3
FLOOR_TOLERANCE = (
    1e-3  # of a floor: machines differ by a thousandth of that, and 1 % of the samples by more
)
FLOOR_ERROR_SHARE = 0.01  # of its standard error, for floors near zero
MIN_BASELINE_RATIO = 2  # trainings of a baseline for each of a gate's


@dataclass(frozen=True)
class MeasuredSide:
    """What a gate measured now, in the terms of a baseline."""

    trainings: Mapping[str, CellTrainings]  # by cell
    floors: Mapping[str, Mapping[str, FloorRecord]] = field(default_factory=dict)
    songs: Mapping[str, LossTrace] = field(default_factory=dict)
    conditions: str = ""  # what digits depend on: see Made


@dataclass(frozen=True)
class FloorShift:
    """A floor that is not what it was: the measuring changed, and not the trainings."""

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
    """All that a gate found."""

    questions: list[GateTest]
    powers: list[DetectablePower]
    moved: list[FloorShift] = field(default_factory=list)
    heard: list[TraceComparison] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)  # what could not be compared, and why
    exact: bool = False  # must every digit be the baseline's?
    notes: list[str] = field(default_factory=list)  # what a reader should know besides
    failures_caught: int | None = None  # trainings that must fail to prove that more do

    @property
    def worsened_tests(self) -> list[GateTest]:
        return [question for question in self.questions if question.verdict == "worse"]

    @property
    def other_digits(self) -> list[TraceComparison]:
        return [heard for heard in self.heard if heard.verdict in ("alike", "different")]

    @property
    def exit_code(self) -> int:
        """1 if anything is proven, else 3 if anything could not be compared."""
        if self.worsened_tests or self.moved or (self.exact and self.other_digits):
            return REGRESSED
        return CANNOT_DECIDE if self.refusals else PASSED

    @property
    def headline(self) -> str:
        return {PASSED: "passed", REGRESSED: "regressed", CANNOT_DECIDE: "cannot decide"}[
            self.exit_code
        ]


def decide_gate_verdict(
    baseline: Baseline,
    now: MeasuredSide,
    margins: Mapping[str, float],
    false_alarms: float,
    seeds: int,
    exact: bool = False,
) -> GateVerdict:
    """Asks every question that the baseline and these trainings allow, and says which they do not."""
    before, scales = baseline.trainings_by_cell(), baseline.metric_scales()
    tests = run_tests(before, now.trainings, scales, margins, false_alarms)
    heard = compare_traces(baseline, now.songs, now.conditions)
    level = false_alarms / max(1, len(tests))
    return GateVerdict(
        questions=tests,
        powers=detectable_powers(before, seeds, scales, margins, false_alarms),
        moved=find_floor_shifts(baseline, now),
        heard=heard,
        refusals=[
            *list_unanswered(before, now.trainings, margins, seeds),
            *list_missing_floors(baseline, now),
            *(missing_traces(before, heard) if exact else ()),
        ],
        exact=exact,
        notes=list(list_loosened_margins(baseline, margins)),
        failures_caught=detectable_failures(before.values(), seeds * len(before), level),
    )


def refused_verdict(reasons: list[str]) -> GateVerdict:
    """A gate that had nothing to train for."""
    return GateVerdict([], [], refusals=reasons)


def find_floor_shifts(baseline: Baseline, now: MeasuredSide) -> list[FloorShift]:
    """The floors that both sides have and that differ by more than digits."""
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
    """Where a question should have been asked and was not, and why."""
    sentences = [f"{cell}: in the baseline, and not trained" for cell in before.keys() - after]
    sentences += [f"{cell}: not in the baseline" for cell in after.keys() - before]
    for cell in before.keys() & after.keys():
        if (count := after[cell].ended) < seeds:
            sentences.append(f"{cell}: only {count} of {seeds} trainings ended, the others crashed")
        for metric in margins:
            sentences += value_gaps(cell, metric, before[cell], after[cell])
    for metric in margins:
        if not any(trainings.measured_values(metric) for trainings in before.values()):
            sentences.append(f"the baseline has no value of {metric}")
    return sorted(sentences)


def value_gaps(
    cell: str, metric: str, before: CellTrainings, after: CellTrainings
) -> Iterator[str]:
    """Values that are not there. A metric without any in the baseline has no meaning in the cell."""
    known, well = len(before.measured_values(metric)), before.ended - before.failed
    if not known and well >= MIN_TRAININGS_PER_TEST:
        return
    if known < MIN_TRAININGS_PER_TEST:
        yield f"{cell}: the baseline has {known} values of {metric}, and a test needs {MIN_TRAININGS_PER_TEST}"
    here, wanted = len(after.measured_values(metric)), after.ended - after.failed
    least = max(MIN_TRAININGS_PER_TEST, wanted if known == well else 0)
    if here < least:
        yield f"{cell}: {metric} has {here} values of {after.ended} trainings"


def list_loosened_margins(baseline: Baseline, margins: Mapping[str, float]) -> Iterator[str]:
    """Where more is allowed than when the baseline was made."""
    for metric, margin in baseline.margins.items():
        if metric not in margins:
            yield f"{metric} had a margin when the baseline was made, and is not asked"
        elif margins[metric] > margin:
            yield f"The margin of {metric} was {margin:g} when the baseline was made, and is {margins[metric]:g}"


def list_missing_floors(baseline: Baseline, now: MeasuredSide) -> list[str]:
    """The floors that a baseline has and that could not be measured now."""
    return [
        f"{metric} of held-out {data} was {floor.value:.6g}, and could not be measured"
        for data, floors in baseline.floors.items()
        for metric, floor in floors.items()
        if metric not in now.floors.get(data, {})
    ]


def missing_traces(
    before: Mapping[str, CellTrainings], heard: list[TraceComparison]
) -> Iterator[str]:
    """The cells whose digits cannot be compared."""
    compared = {each.cell: each for each in heard}
    for cell in before:
        if cell not in compared:
            yield f"{cell}: no canary on both sides"
        elif compared[cell].verdict == "not comparable":
            yield f"{cell}: {compared[cell].said}"
