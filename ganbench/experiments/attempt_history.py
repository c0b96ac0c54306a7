"""The history of a trial: its attempts by machine, and its state for the next run."""

from dataclasses import dataclass
from typing import Any

from .outcomes import TrialState, read_trial_state
from .running_trials import last_value
from .store import Attempt, Store, TrialFolder

VANISHED = "vanished"
VANISHED_REASON = "it recorded no end: its process was killed, or its machine was lost"

NEXT_RUN = {  # by the state of a trial
    "not_applicable": "No run trains it.",
    "done": "The next run keeps it. To train it again:",
    "diverged": "Divergence is a result, and the next run keeps it. To train it again:",
    "running": "Other runs wait for its result. To follow it:",
    "trained": "The next run measures it:",
    "started": "The next run resumes it from its checkpoint:",
    "not run": "The next run trains it:",
}
RETRIED, RESUMED = (
    "The next run trains it again:",
    "The next run trains it again, from its checkpoint:",
)


@dataclass(frozen=True)
class AttemptSummary:
    """One attempt at a trial: where it ran, and how it ended."""

    number: int
    machine: str
    process: int | None
    began: float | None  # seconds since the epoch
    step: int
    outcome: str  # done, diverged, failed, interrupted, running or vanished
    reason: str
    log: str | None  # the path of its log, if it has one


@dataclass(frozen=True)
class TrialHistory:
    """The state of a trial, its attempts, and the effect of the next run."""

    state: TrialState
    attempts: list[AttemptSummary]
    next_run: str  # a sentence


def read_trial_history(plan: dict[str, Any], item: dict[str, Any], store: Store) -> TrialHistory:
    """Reads the state and the attempts of a planned trial; raises CorruptFile."""
    folder = store.trial_folder(item["trial"])
    state = read_trial_state(plan, item, store)
    attempts = summarize_attempts(folder, is_running=state.state == "running")
    return TrialHistory(state, attempts, describe_next_run(state, folder))


def describe_next_run(state: TrialState, folder: TrialFolder) -> str:
    if state.state == "failed":
        return RESUMED if folder.checkpoint_path.is_file() else RETRIED
    return NEXT_RUN[state.state]


def summarize_attempts(folder: TrialFolder, is_running: bool) -> list[AttemptSummary]:
    """Returns the attempts in their order; only the last one may be running."""
    attempts = folder.attempts()
    return [summarize_attempt(each, is_running and each == attempts[-1]) for each in attempts]


def summarize_attempt(attempt: Attempt, is_running: bool) -> AttemptSummary:
    events, end = attempt.read_events(), attempt.read_end()
    unended = "running" if is_running else VANISHED
    return AttemptSummary(
        number=attempt.number,
        machine=str(last_value(events, "machine", "?")),
        process=last_value(events, "process", None),
        began=events[0]["time"] if events else None,
        step=last_value(events, "step", 0),
        outcome=end["outcome"] if end else unended,
        reason=end["reason"] if end else ("" if is_running else VANISHED_REASON),
        log=str(attempt.log_path) if attempt.log_path.exists() else None,
    )
