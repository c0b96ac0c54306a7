"""What every executor takes and tells: jobs, and how far they are."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..store import Attempt, Store, TrialFolder
from ..trial import Trial
from ..yardstick import DEFAULT


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
class Status:
    """How far a job is."""

    job: Job
    state: str = "waiting"  # waiting, running, or an outcome
    reason: str = ""
    progress: float = 0.0
    rate: float = 0.0  # training images a second
    fid: float | None = None
    tries: int = 0
    began: float = 0.0  # when it was first seen to run, in seconds since the epoch

    @property
    def ended(self) -> bool:
        return self.state not in ("waiting", "running")


Watch = Callable[[], None]  # called several times a second while jobs run


@dataclass(frozen=True)
class Limits:
    """Seconds after which a trial is given up: in all, and without a sign of life."""

    wall: float
    stall: float
