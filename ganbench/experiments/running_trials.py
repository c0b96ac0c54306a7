"""Trials that are being run now: machine, process, begin and step."""

from dataclasses import dataclass
from typing import Any

from .lease import read_holder
from .store import TrialFolder


@dataclass(frozen=True)
class RunningTrial:
    """A trial that a process holds, on this machine or on another one of the same store."""

    machine: str
    process: int
    since: float | None = None  # seconds since the epoch
    step: int = 0
    progress: float = 0.0  # share of the budget that is spent
    measuring: bool = False


def read_running_trial(folder: TrialFolder) -> RunningTrial | None:
    """Returns the process that holds a trial and its progress, or None if no process does."""
    holder = read_holder(folder.folder)
    if holder is None:
        return None
    attempts = folder.attempts()
    events = attempts[-1].read_events() if attempts and attempts[-1].read_end() is None else []
    return RunningTrial(
        machine=str(holder.get("machine", "?")),
        process=holder["process"],
        since=events[0]["time"] if events else None,
        step=last_value(events, "step", 0),
        progress=last_value(events, "progress", 0.0),
        measuring=bool(last_value(events, "measuring", False)),
    )


def last_value(events: list[dict[str, Any]], key: str, default: Any) -> Any:
    """Returns the last value of a key in the events of an attempt."""
    return next((event[key] for event in reversed(events) if key in event), default)
