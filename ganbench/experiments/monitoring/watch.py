"""Monitors the run of a suite from another process, by reading only its store.

A run records its start and its end in `runs.jsonl` of its suite's folder. A killed run records no end.
On the same system, it is over when its process is gone. On another machine, it is over when its
trials have written no event for a while. So is a run of an older version, which recorded a process number
alone: another process may have the number now. A trial runs while a process holds its lease.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ganbench.experiments.lease import (
    describe_this_process,
    is_alive,
    is_of_this_system,
    read_holder,
)
from ganbench.experiments.outcomes import read_plan_status
from ganbench.experiments.plan_names import TRAINED_OUTCOMES
from ganbench.experiments.store import Store, TrialFolder, read_plan
from ganbench.files import append_json_line, read_events

from .trial_progress import TrialProgress, format_trial_label

MAX_QUIET_SECONDS = (
    600.0  # seconds without an event after which a run on another machine counts as dead
)


@contextmanager
def announce_run(folder: Path, trials: int) -> Iterator[None]:
    """Records the start and the end of this process's run in `runs.jsonl`."""
    run = {**describe_this_process(), "run": time.time_ns()}
    append_json_line(folder / "runs.jsonl", **run, trials=trials)
    try:
        yield
    finally:
        with suppress(OSError):  # a full disk
            append_json_line(folder / "runs.jsonl", **run, ended=True)


class RunMonitor:
    """The progress of all trials of a suite's plan."""

    def __init__(self, folder: Path):
        """Raises FileNotFoundError if there is no plan, and CorruptFile for damaged files."""
        self.folder, self.store, self.planned_at = folder, Store(folder.parent), 0
        self.trials: list[TrialProgress] = []
        read_plan_status(self.read_trials(), self.store)

    def read_trials(self) -> dict[str, Any]:
        """Reads the trials of the plan, and returns it; known trials keep their progress."""
        self.planned_at = self.plan_time()
        plan = read_plan(self.folder)
        if plan is None:
            raise FileNotFoundError(f"{self.folder / 'plan.json'} does not exist")
        known = {each.folder.folder: each for each in self.trials if each.folder}
        items = {t["trial"]: t for t in plan["trials"] if not t["objection"]}
        self.trials = []
        for identifier, item in items.items():
            folder = self.store.trial_folder(identifier)
            new = TrialProgress(
                label=format_trial_label(item, item["role"]),
                folder=folder,
                protocol=item["protocol"],
            )
            self.trials.append(known.get(folder.folder, new))
        return plan

    def plan_time(self) -> int:
        """Returns when the plan was written, in nanoseconds; 0 if it is gone."""
        path = self.folder / "plan.json"
        return path.stat().st_mtime_ns if path.exists() else 0

    def refresh(self) -> list[TrialProgress]:
        """Returns the current progress of every trial. Finished trials are not read again.

        A new round of adaptive seeds has planned more trials.
        """
        if self.plan_time() not in (0, self.planned_at):
            self.read_trials()
        for trial_progress in self.trials:
            if trial_progress.state not in TRAINED_OUTCOMES:
                refresh_trial(trial_progress)
        return self.trials

    def is_over(self) -> bool:
        """Returns whether every run of the suite has ended or died."""
        runs: dict[int, dict[str, Any]] = {}
        for event in read_events(self.folder / "runs.jsonl"):
            runs[event.get("run", 0)] = event
        return not any(self.is_run_alive(run) for run in runs.values() if "ended" not in run)

    def is_run_alive(self, run: Mapping[str, Any]) -> bool:
        owner = {key: run.get(key, 0) for key in describe_this_process()}
        if is_of_this_system(owner):
            return is_alive(owner)
        event_times = [
            attempt_time(trial_progress)
            for trial_progress in self.trials
            if trial_progress.state == "running"
        ]
        return time.time() - max([run["time"], *event_times]) < MAX_QUIET_SECONDS


def refresh_trial(trial_progress: TrialProgress) -> None:
    """Updates the progress of a trial from its last attempt."""
    assert trial_progress.folder
    attempts = trial_progress.folder.attempts()
    if not attempts:  # possibly a store that was copied without its attempts
        trial_progress.state = stored_outcome(trial_progress.folder)
        return
    events, ending = attempts[-1].read_events(), attempts[-1].read_end()
    if trial_progress.attempt != attempts[-1].number:
        trial_progress.attempt = attempts[-1].number
        trial_progress.begin_attempt(events[0]["time"] if events else time.time())
    for event in events:
        trial_progress.update(event)
    if ending:
        trial_progress.state, trial_progress.reason = ending["outcome"], ending["reason"]
    else:
        holder = read_holder(trial_progress.folder.folder)
        trial_progress.state = "running" if holder else "waiting"
    if trial_progress.state in TRAINED_OUTCOMES:
        trial_progress.state = stored_outcome(trial_progress.folder)
    if trial_progress.state == "interrupted":  # the next run resumes it
        trial_progress.state = "waiting"


def stored_outcome(folder: TrialFolder) -> str:
    """Returns the outcome of a trial's result, or `waiting` if there is none."""
    result = folder.read_result()
    return result["outcome"] if result else "waiting"


def attempt_time(trial_progress: TrialProgress) -> float:
    """Returns the time of the last event of a trial's last attempt."""
    assert trial_progress.folder
    events = trial_progress.folder.attempts()[-1].read_events()
    return float(events[-1]["time"]) if events else 0.0
