"""The verdict of a gate: what is proven, what could not be compared, and the exit code of both."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from .baseline import Baseline, Floor, songs_heard
from .canary import Heard, Song
from .power import Power, powers
from .questions import FEWEST, Question, Trainings, questions

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
    exact: bool = False  # was a change asked for that changes no number?

    @property
    def worse(self) -> list[Question]:
        return [question for question in self.questions if question.verdict == "worse"]

    @property
    def sung_otherwise(self) -> list[Heard]:
        return [heard for heard in self.heard if heard.verdict == "different"]

    @property
    def code(self) -> int:
        """1 if anything is proven, else 3 if anything could not be compared."""
        if self.worse or self.moved or (self.exact and self.sung_otherwise):
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
    return Verdict(
        questions=asked,
        powers=powers(before, seeds, scales, margins, false_alarms),
        moved=moved(baseline, now),
        heard=heard,
        refusals=[
            *unanswered(before, now.trainings, margins),
            *floorless(baseline, now),
            *unsung(exact, heard),
        ],
        exact=exact,
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
    before: Mapping[str, Trainings], after: Mapping[str, Trainings], margins: Mapping[str, float]
) -> list[str]:
    """What the baseline has values of, and these trainings too few."""
    found = [
        f"{cell}: the baseline has it, and it was not trained" for cell in before.keys() - after
    ]
    found += [f"{cell}: the baseline does not have it" for cell in after.keys() - before]
    for cell in before.keys() & after.keys():
        for metric in margins:
            known, here = (len(side[cell].known(metric)) for side in (before, after))
            if known >= FEWEST > here:
                found.append(f"{cell}: {metric} has {here} values, and a test needs {FEWEST}")
    asked = any(len(t.known(m)) >= FEWEST for t in before.values() for m in margins)
    return sorted(found) + ([] if asked else ["the baseline has nothing to compare with"])


def floorless(baseline: Baseline, now: Side) -> list[str]:
    """The floors that a baseline has and that could not be measured now."""
    return [
        f"{metric} of held-out {data} was {floor.value:.6g}, and could not be measured"
        for data, floors in baseline.floors.items()
        for metric, floor in floors.items()
        if metric not in now.floors.get(data, {})
    ]


def unsung(exact: bool, heard: list[Heard]) -> list[str]:
    """Why digits cannot be compared, if that was asked for."""
    mute = [h.said for h in heard if h.verdict == "not comparable"]
    missing = [] if heard else ["the baseline has no canary of these cells"]
    return list(dict.fromkeys(mute + missing)) if exact else []
