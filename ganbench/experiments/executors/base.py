"""An executor runs trials: each calls the one entry `run_trial`, and reports through the store."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from ganbench.evaluation.protocols.base import DEFAULT
from ganbench.experiments.monitoring.trial_progress import Sight, label
from ganbench.experiments.store import Attempt, Store, TrialFolder
from ganbench.experiments.trial import Trial
from ganbench.files import read_lines


@dataclass(frozen=True)
class Job:
    """A trial to run on a store, and the metrics and the protocol to measure it by."""

    trial: Trial
    metrics: tuple[str, ...]
    store: Path
    protocol: str = DEFAULT

    @property
    def folder(self) -> TrialFolder:
        return Store(self.store).trial(self.trial.id)

    def attempt(self) -> Attempt | None:
        attempts = self.folder.attempts()
        return attempts[-1] if attempts else None


@dataclass
class Status(Sight):
    """How far a job is."""

    job: Job
    tries: int = 0

    def __post_init__(self) -> None:
        trial = self.job.trial
        cell = asdict(trial) | {"tricks": " + ".join(trial.tricks) or "none"}
        self.label = label(cell, "trial" if trial.budget.amount else "untrained")
        self.folder = self.job.folder

    def catch_up(self) -> None:
        """Reads all that the last attempt told, and how it ended."""
        if attempt := self.job.attempt():
            for event in read_lines(attempt.events):
                self.see(event)
            self.reason = (attempt.ending() or {}).get("reason", "")


Watch = Callable[[], None]  # called several times a second while jobs run


@dataclass(frozen=True)
class Limits:
    """Seconds after which a trial is given up: in all, and without a sign of life."""

    wall: float
    stall: float


@dataclass(frozen=True)
class Executor:
    """An executor's settings. They decide no number: a trial is the same wherever it runs."""

    version: ClassVar[int] = 1
    neutral: ClassVar[dict[str, Any]] = {}

    def run(self, statuses: Sequence[Status], limits: Limits, on_progress: Watch) -> None:
        """Runs every job to its end, and keeps each status current.

        Calls `on_progress` several times a second. Raises KeyboardInterrupt after Ctrl-C, when
        checkpoints are written.
        """
        raise NotImplementedError
