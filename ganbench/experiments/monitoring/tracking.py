"""Sends the events of trials from the store to trackers.

Trackers run in the process that monitors the run, not in those that train. A tracker that fails is
reported and no longer used, and no trial is lost.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from ganbench.data.image_paths import name_data
from ganbench.experiments.store import Attempt, TrialFolder
from ganbench.experiments.trackers.base import TrackedTrial, Tracker, TrackerUnavailable
from ganbench.files import read_json_or_none

from .trial_progress import TrialProgress

TRACKED_EVENT_KEYS = ("fid", "rate")  # logged keys of an event, besides losses and scores


@dataclass
class SentEvents:
    """A trial that trackers have begun, and its events that they have received."""

    trial: TrackedTrial
    counts: dict[Path, int] = field(default_factory=dict)  # events read, by attempt
    last_step: int = 0


class TrackerGroup(AbstractContextManager["TrackerGroup"]):
    """Trackers that receive the new events of all trials at every update."""

    def __init__(self, trackers: Mapping[str, Tracker], print_line: Callable[[str], None]):
        self.trackers, self.print_line = dict(trackers), print_line
        self.begun: dict[Path, SentEvents] = {}  # by the folders of trials
        self.ended: set[Path] = set()  # folders of trials that have ended

    def open(self, suite: str, folder: Path) -> Self:
        """Opens every tracker for a suite.

        Raises TrackerUnavailable if the package of a tracker is missing.
        """
        self.on_each_tracker(lambda tracker: tracker.open(suite, folder))
        return self

    def __exit__(self, *error: object) -> None:
        self.on_each_tracker(lambda tracker: tracker.close())

    def update(self, trials: Sequence[TrialProgress]) -> None:
        """Sends the new events of all trials that are running or have ended."""
        for trial_progress in trials if self.trackers else ():
            folder = trial_progress.folder
            if folder is None or trial_progress.state == "waiting" or folder.folder in self.ended:
                continue
            if attempts := folder.attempts():
                self.follow_attempt(trial_progress, folder, attempts[-1])

    def follow_attempt(
        self, trial_progress: TrialProgress, folder: TrialFolder, attempt: Attempt
    ) -> None:
        sent = self.begun.get(folder.folder) or self.begin(trial_progress, folder)
        events = attempt.read_events()
        for event in events[sent.counts.get(attempt.folder, 0) :]:
            self.log_event(sent, event)
        sent.counts[attempt.folder] = len(events)
        if trial_progress.has_ended:
            self.ended.add(folder.folder)
            final = last_measurements(folder, trial_progress.protocol)
            self.on_each_tracker(
                lambda tracker: tracker.end(
                    sent.trial, trial_progress.state, final, folder.samples_path
                )
            )

    def begin(self, trial_progress: TrialProgress, folder: TrialFolder) -> SentEvents:
        """Begins a trial, once for all its attempts that this process follows."""
        trial = TrackedTrial(folder.folder.name, trial_progress.label, flat_trial_settings(folder))
        self.begun[folder.folder] = SentEvents(trial)
        self.on_each_tracker(lambda tracker: tracker.begin(trial))
        return self.begun[folder.folder]

    def log_event(self, sent: SentEvents, event: Mapping[str, Any]) -> None:
        """Logs the numbers of an event, unless an earlier attempt has logged later ones."""
        values = finite_event_numbers(event)
        if values and event["step"] >= sent.last_step:
            sent.last_step = event["step"]
            self.on_each_tracker(lambda tracker: tracker.log(sent.trial, event["step"], values))

    def on_each_tracker(self, act: Callable[[Tracker], None]) -> None:
        """Calls `act` with every tracker; reports and removes each tracker that fails."""
        for name, tracker in list(self.trackers.items()):
            try:
                act(tracker)
            except TrackerUnavailable:
                raise
            except Exception as error:  # third-party code, servers and disks can raise any error
                del self.trackers[name]
                cause = " ".join(str(error).split())
                self.print_line(
                    f"tracker {name} failed and is left out: {type(error).__name__}: {cause}"
                )


def flat_trial_settings(folder: TrialFolder) -> dict[str, str | int | float]:
    """Returns the settings of a trial under flat keys with dots: `plan.generator_lr`."""
    trial = (read_json_or_none(folder.spec_path) or {}).get("trial", {})
    settings = {key: value for key, value in trial.items() if key != "fingerprint"}
    settings |= {"data": name_data(trial["data"])} if trial else {}
    return dict(flatten_keys(settings))


def flatten_keys(content: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from flatten_keys(value, f"{prefix}{key}.")
        elif value != "":
            yield f"{prefix}{key}", value if isinstance(value, str | int | float) else str(value)


def finite_event_numbers(event: Mapping[str, Any]) -> dict[str, float]:
    """Returns the finite numbers of an event, keyed by their names in trackers."""
    if "step" not in event:
        return {}
    values = {key: event[key] for key in TRACKED_EVENT_KEYS if key in event}
    values |= {f"terms/{name}": value for name, value in (event.get("terms") or {}).items()}
    values |= {f"scores/{name}": value for name, value in (event.get("scores") or {}).items()}
    return {k: float(v) for k, v in values.items() if v is not None and math.isfinite(v)}


def last_measurements(folder: TrialFolder, protocol: str) -> dict[str, float]:
    """Returns the finite measured values of the last checkpoint under a protocol."""
    readings = (read_json_or_none(folder.scores_path(protocol, "last")) or {}).get("metrics", {})
    values = {name: r["value"] for name, r in readings.items() if "value" in r}
    return {name: value for name, value in values.items() if math.isfinite(value)}
