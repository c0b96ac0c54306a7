"""Tracking: tells trackers what the store says of trials. None of it is needed to go on with a run.

It runs where the run is watched, not where trials are trained: a tracker that fails is told of, left
out from then on, and costs no trial.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ganbench.experiments.store import Attempt, TrialFolder
from ganbench.experiments.trackers.base import Tracked, Tracker, Untracked
from ganbench.files import read_lines

from .trial_progress import Sight
from .watch import whole

SEEN = ("fid", "rate")  # of an event, beside losses and scores


class Tracking:
    """Trackers that are fed with what is new at every look."""

    def __init__(self, trackers: Mapping[str, Tracker], tell: Callable[[str], None]):
        self.trackers, self.tell = dict(trackers), tell
        self.begun: dict[Path, tuple[Tracked, int]] = {}  # attempts, and how many events are told
        self.ended: set[Path] = set()  # trials

    def open(self, suite: str, folder: Path) -> Self:
        """Before all: the suite's name and folder. Raises Untracked if a tracker's package is missing."""
        self.each(lambda tracker: tracker.open(suite, folder))
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.each(lambda tracker: tracker.close())

    def look(self, sights: Sequence[Sight]) -> None:
        """Tells what is new of all trials that run or have ended."""
        for sight in sights if self.trackers else ():
            folder = sight.folder
            if folder is None or sight.state == "waiting" or folder.folder in self.ended:
                continue
            if attempts := folder.attempts():
                self.follow(sight, folder, attempts[-1])

    def follow(self, sight: Sight, folder: TrialFolder, attempt: Attempt) -> None:
        key = attempt.folder
        if key not in self.begun:
            trial = Tracked(folder.folder.name, sight.label, settings(folder))
            self.begun[key] = trial, 0
            self.each(lambda tracker: tracker.begin(trial))
        trial, count = self.begun[key]
        events = read_lines(attempt.events)
        for event in events[count:]:
            self.log(trial, event)
        self.begun[key] = trial, len(events)
        if sight.ended:
            self.ended.add(folder.folder)
            final = measured(folder)
            self.each(lambda tracker: tracker.end(trial, sight.state, final, folder.samples))

    def log(self, trial: Tracked, event: Mapping[str, Any]) -> None:
        if values := numbers(event):
            self.each(lambda tracker: tracker.log(trial, event["step"], values))

    def each(self, act: Callable[[Tracker], None]) -> None:
        """Acts on every tracker; one that fails is told of once, and is not asked again."""
        for name, tracker in list(self.trackers.items()):
            try:
                act(tracker)
            except Untracked:
                raise
            except Exception as error:  # of other people's code, servers and disks
                del self.trackers[name]
                told = " ".join(str(error).split())
                self.tell(f"tracker {name} failed and is left out: {type(error).__name__}: {told}")


def settings(folder: TrialFolder) -> dict[str, str | int | float]:
    """What a trial is made of, with dots between the keys: `plan.generator_lr`."""
    trial = (whole(folder.spec) or {}).get("trial", {})
    return dict(flat({k: v for k, v in trial.items() if k != "fingerprint"}))


def flat(content: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        elif value != "":
            yield f"{prefix}{key}", value if isinstance(value, str | int | float) else str(value)


def numbers(event: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of an event, by their names in trackers."""
    if "step" not in event:
        return {}
    found = {key: event[key] for key in SEEN if key in event}
    found |= {f"terms/{name}": value for name, value in (event.get("terms") or {}).items()}
    found |= {f"scores/{name}": value for name, value in (event.get("scores") or {}).items()}
    return {k: float(v) for k, v in found.items() if v is not None and math.isfinite(v)}


def measured(folder: TrialFolder) -> dict[str, float]:
    """What was measured of the last checkpoint, by every protocol that it was measured by."""
    found: dict[str, float] = {}
    for path in sorted((folder.folder / "evaluations").glob("*-last.json")):
        readings = (whole(path) or {}).get("metrics", {})
        found |= {name: r["value"] for name, r in readings.items() if "value" in r}
    return {name: value for name, value in found.items() if math.isfinite(value)}
