"""The verdict of a gate: what is proven, what could not be compared, and the exit code of both."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .baseline import Baseline, Floor, songs_heard
from .hypothesis_tests import FEWEST, Question, Trainings, questions
from .loss_trace import Heard, Song
from .power import Power, failures_caught, powers

PASSED, REGRESSED, CANNOT_DECIDE = 0, 1, 3
TOLERANCE = (
    1e-3  # of a floor: machines differ by a thousandth of that, and 1 % of the samples by more
)
OF_ERROR = 0.01  # of its standard error, for floors near zero
LEAST_RATIO = 2  # trainings of a baseline for each of a gate's


@dataclass(frozen=True)
class Side:
    """What a gate measured now, in the terms of a baseline."""

    trainings: Mapping[str, Trainings]  # by cell
    floors: Mapping[str, Mapping[str, Floor]] = field(default_factory=dict)
    songs: Mapping[str, Song] = field(default_factory=dict)
    conditions: str = ""  # what digits depend on: see Made


@dataclass(frozen=True)
class Moved:
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
class Verdict:
    """All that a gate found."""

    questions: list[Question]
    powers: list[Power]
    moved: list[Moved] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)  # what could not be compared, and why
    exact: bool = False  # must every digit be the baseline's?
    notes: list[str] = field(default_factory=list)  # what a reader should know besides
    failures_caught: int | None = None  # trainings that must fail to prove that more do

    @property
    def worse(self) -> list[Question]:
        return [question for question in self.questions if question.verdict == "worse"]

    @property
    def other_digits(self) -> list[Heard]:
        return [heard for heard in self.heard if heard.verdict in ("alike", "different")]

    @property
    def code(self) -> int:
        """1 if anything is proven, else 3 if anything could not be compared."""
        if self.worse or self.moved or (self.exact and self.other_digits):
            return REGRESSED
        return CANNOT_DECIDE if self.refusals else PASSED

    @property
    def word(self) -> str:
        return {PASSED: "passed", REGRESSED: "regressed", CANNOT_DECIDE: "cannot decide"}[self.code]


def verdict(
    baseline: Baseline,
    now: Side,
    margins: Mapping[str, float],
    false_alarms: float,
    seeds: int,
    exact: bool = False,
) -> Verdict:
    """Asks every question that the baseline and these trainings allow, and says which they do not."""
    before, scales = baseline.trainings(), baseline.scales()
    asked = questions(before, now.trainings, scales, margins, false_alarms)
    heard = songs_heard(baseline, now.songs, now.conditions)
    level = false_alarms / max(1, len(asked))
    return Verdict(
        questions=asked,
        powers=powers(before, seeds, scales, margins, false_alarms),
        moved=moved(baseline, now),
        heard=heard,
        refusals=[
            *unanswered(before, now.trainings, margins, seeds),
            *floorless(baseline, now),
            *(unsung(before, heard) if exact else ()),
        ],
        exact=exact,
        notes=list(loosened(baseline, margins)),
        failures_caught=failures_caught(before.values(), seeds * len(before), level),
    )


def refused(reasons: list[str]) -> Verdict:
    """A gate that had nothing to train for."""
    return Verdict([], [], refusals=reasons)


def moved(baseline: Baseline, now: Side) -> list[Moved]:
    """The floors that both sides have and that differ by more than digits."""
    return [
        Moved(data, metric, floor.value, now.floors[data][metric].value)
        for data, floors in baseline.floors.items()
        for metric, floor in floors.items()
        if metric in now.floors.get(data, {}) and apart(floor, now.floors[data][metric].value)
    ]


def apart(floor: Floor, value: float) -> bool:
    least = TOLERANCE * abs(floor.value) + OF_ERROR * (floor.error or 0.0)
    return not math.isclose(value, floor.value, rel_tol=0.0, abs_tol=least)


def unanswered(
    before: Mapping[str, Trainings],
    after: Mapping[str, Trainings],
    margins: Mapping[str, float],
    seeds: int,
) -> list[str]:
    """Where a question should have been asked and was not, and why."""
    found = [f"{cell}: in the baseline, and not trained" for cell in before.keys() - after]
    found += [f"{cell}: not in the baseline" for cell in after.keys() - before]
    for cell in before.keys() & after.keys():
        if (count := after[cell].ended) < seeds:
            found.append(f"{cell}: only {count} of {seeds} trainings ended, the others crashed")
        for metric in margins:
            found += gaps(cell, metric, before[cell], after[cell])
    for metric in margins:
        if not any(trainings.known(metric) for trainings in before.values()):
            found.append(f"the baseline has no value of {metric}")
    return sorted(found)


def gaps(cell: str, metric: str, before: Trainings, after: Trainings) -> Iterator[str]:
    """Values that are not there. A metric without any in the baseline has no meaning in the cell."""
    known, well = len(before.known(metric)), before.ended - before.failed
    if not known and well >= FEWEST:
        return
    if known < FEWEST:
        yield f"{cell}: the baseline has {known} values of {metric}, and a test needs {FEWEST}"
    here, wanted = len(after.known(metric)), after.ended - after.failed
    least = max(FEWEST, wanted if known == well else 0)
    if here < least:
        yield f"{cell}: {metric} has {here} values of {after.ended} trainings"


def loosened(baseline: Baseline, margins: Mapping[str, float]) -> Iterator[str]:
    """Where more is allowed than when the baseline was made."""
    for metric, margin in baseline.margins.items():
        if metric not in margins:
            yield f"{metric} had a margin when the baseline was made, and is not asked"
        elif margins[metric] > margin:
            yield f"The margin of {metric} was {margin:g} when the baseline was made, and is {margins[metric]:g}"


def floorless(baseline: Baseline, now: Side) -> list[str]:
    """The floors that a baseline has and that could not be measured now."""
    return [
        f"{metric} of held-out {data} was {floor.value:.6g}, and could not be measured"
        for data, floors in baseline.floors.items()
        for metric, floor in floors.items()
        if metric not in now.floors.get(data, {})
    ]


def unsung(before: Mapping[str, Trainings], heard: list[Heard]) -> Iterator[str]:
    """The cells whose digits cannot be compared."""
    known = {each.cell: each for each in heard}
    for cell in before:
        if cell not in known:
            yield f"{cell}: no canary on both sides"
        elif known[cell].verdict == "not comparable":
            yield f"{cell}: {known[cell].said}"
