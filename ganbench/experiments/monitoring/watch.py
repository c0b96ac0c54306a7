"""Watching: how far a suite's run is, seen from another process by nothing but what its store holds.

A run says in `runs.jsonl` of its suite's folder that it has begun, and that it has ended. One that was
killed cannot say so: it is over when its process is gone, or, on another machine, when nothing has
been heard of its trials for a while.
"""

import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ganbench.experiments.store import Store
from ganbench.files import append_json_line, read_json, read_json_lines, read_json_or_none

from .trial_progress import TrialProgress, format_trial_label

MAX_QUIET_SECONDS = (
    600.0  # seconds without a word from another machine after which its run is taken for dead
)
FINAL_OUTCOMES = ("done", "diverged")


@contextmanager
def announce_run(folder: Path, trials: int) -> Iterator[None]:
    """Says that this process runs so many trials of the suite, and at the end that it does no more."""
    run = {"process": os.getpid(), "machine": platform.node(), "run": time.time_ns()}
    append_json_line(folder / "runs.jsonl", **run, trials=trials)
    try:
        yield
    finally:
        append_json_line(folder / "runs.jsonl", **run, ended=True)


class RunMonitor:
    """The trials of a suite's plan, looked at again and again."""

    def __init__(self, folder: Path):
        """Raises FileNotFoundError if there is no plan, CorruptFile if it cannot be read."""
        plan = read_json(folder / "plan.json")
        if plan is None:
            raise FileNotFoundError(f"{folder / 'plan.json'} does not exist")
        self.folder, store = folder, Store(folder.parent)
        items = {t["trial"]: t for t in plan["trials"] if not t["objection"]}
        self.sights = [
            TrialProgress(
                label=format_trial_label(item, item["role"]), folder=store.trial_folder(identifier)
            )
            for identifier, item in items.items()
        ]

    def refresh(self) -> list[TrialProgress]:
        """Every trial as it is now. Those that are done are not looked at again."""
        for trial_progress in self.sights:
            if trial_progress.state not in FINAL_OUTCOMES:
                refresh_trial(trial_progress)
        return self.sights

    def is_over(self) -> bool:
        """Has every run of the suite ended, or died?"""
        runs: dict[int, dict[str, Any]] = {}
        for last_runs in read_json_lines(self.folder / "runs.jsonl"):
            runs[last_runs.get("run", 0)] = last_runs
        return not any(self.is_alive(run) for run in runs.values() if "ended" not in run)

    def is_alive(self, run: Mapping[str, Any]) -> bool:
        if run.get("machine") == platform.node():
            return has_process(run.get("process", 0))
        heard = [
            attempt_time(trial_progress)
            for trial_progress in self.sights
            if trial_progress.state == "running"
        ]
        return time.time() - max([run["time"], *heard]) < MAX_QUIET_SECONDS


def refresh_trial(trial_progress: TrialProgress) -> None:
    """Reads the last attempt at a trial."""
    assert trial_progress.folder
    attempts = trial_progress.folder.attempts()
    if not attempts:  # of a store that was copied without its attempts, perhaps
        result = read_json_or_none(trial_progress.folder.result_path)
        trial_progress.state = result["outcome"] if result else "waiting"
        return
    events = read_json_lines(attempts[-1].events_path)
    ending = read_json_or_none(attempts[-1].exit_path)
    trial_progress.began = trial_progress.began or (events[0]["time"] if events else time.time())
    for event in events:
        trial_progress.update(event)
    if ending:
        trial_progress.state, trial_progress.reason = ending["outcome"], ending["reason"]
    else:
        trial_progress.state = "running" if is_under_way(events) else "waiting"
    if trial_progress.state == "interrupted":  # the next run goes on with it
        trial_progress.state = "waiting"


def is_under_way(events: list[dict[str, Any]]) -> bool:
    """Is the process that told these events still at it?"""
    first = next((event for event in events if "process" in event), None)
    if first is None:
        return False
    if first.get("machine") == platform.node():
        return has_process(first["process"])
    return bool(time.time() - events[-1]["time"] < MAX_QUIET_SECONDS)


def attempt_time(trial_progress: TrialProgress) -> float:
    """When the last attempt at a trial was heard of."""
    assert trial_progress.folder
    events = read_json_lines(trial_progress.folder.attempts()[-1].events_path)
    return float(events[-1]["time"]) if events else 0.0


def has_process(process: int) -> bool:
    """Is there a process of this number on this machine?"""
    if process <= 0:  # which would ask for whole groups
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return True
