"""The interface of executors. All call `run_trials` and report through the store."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ganbench.evaluation.protocols.base import DEFAULT_PROTOCOL
from ganbench.experiments.monitoring.trial_progress import TrialProgress, format_trial_label
from ganbench.experiments.plan_names import ARM_FIELDS
from ganbench.experiments.seed_rounds import arm_of_trial
from ganbench.experiments.store import Attempt, Store, TrialFolder
from ganbench.experiments.trial import Trial


@dataclass(frozen=True)
class Job:
    """A trial to run in a store, with the metrics and the protocol of its measurement."""

    trial: Trial
    metrics: tuple[str, ...]
    store: Path
    protocol: str = DEFAULT_PROTOCOL

    @property
    def folder(self) -> TrialFolder:
        return Store(self.store).trial_folder(self.trial.id)

    def last_attempt(self) -> Attempt | None:
        attempts = self.folder.attempts()
        return attempts[-1] if attempts else None


@dataclass
class JobStatus(TrialProgress):
    """The progress of a job."""

    job: Job
    tries: int = 0
    last_attempt_before: int = 0  # its number, when a worker was given the job

    def __post_init__(self) -> None:
        trial = self.job.trial
        cell = dict(zip(ARM_FIELDS, arm_of_trial(trial), strict=True)) | {"seed": trial.seed}
        self.label = format_trial_label(cell, "trial" if trial.budget.amount else "untrained")
        self.folder = self.job.folder

    def assign(self) -> None:
        """Notes that a worker is given the job, and the number of the last attempt before."""
        last = self.job.last_attempt()
        self.last_attempt_before = last.number if last else 0
        self.begin_attempt(time.time())

    def last_own_attempt(self) -> Attempt | None:
        """Returns the last attempt since a worker was given the job, or None."""
        last = self.job.last_attempt()
        return last if last and last.number > self.last_attempt_before else None

    def read_last_event(self) -> float:
        """Updates the progress from the last event since then; returns its time, or 0."""
        attempt = self.last_own_attempt()
        event = attempt.read_last_event() if attempt else {}
        self.update(event)
        return float(event.get("time", 0.0))

    def read_events(self) -> None:
        """Reads the events and the end of the last attempt."""
        if attempt := self.job.last_attempt():
            for event in attempt.read_events():
                self.update(event)
            self.reason = (attempt.read_end() or {}).get("reason", "")


BUSY_RETRY_SECONDS = 2.0  # before a trial that another run holds is tried again
JobGroup = list[JobStatus]  # jobs that one worker runs together; mostly one
OnProgress = Callable[[], None]  # called several times a second while jobs run
Member = TypeVar("Member")  # of a group: a job, or a training in a stacked program


def split_group(group: list[Member]) -> list[list[Member]]:
    """Returns the first and the second half of a group of two or more."""
    middle = (len(group) + 1) // 2
    return [group[:middle], group[middle:]]


@dataclass(frozen=True)
class TrialLimits:
    """Time limits of a trial in seconds: in total (wall), and without an event (stall)."""

    wall: float
    stall: float


@dataclass(frozen=True)
class Executor:
    """The base class of executors. Its settings never affect the numbers of a trial.

    `numerics` are settings that `ganbench run` gives to a suite that leaves them out.
    """

    version: ClassVar[int] = 1
    neutral: ClassVar[dict[str, Any]] = {}
    numerics: ClassVar[dict[str, Any]] = {}

    def run(
        self, statuses: Sequence[JobStatus], limits: TrialLimits, on_progress: OnProgress
    ) -> None:
        """Runs every job to its end and keeps each status current.

        Calls `on_progress` several times a second. After Ctrl-C, raises KeyboardInterrupt once the
        checkpoints are written.
        """
        raise NotImplementedError
