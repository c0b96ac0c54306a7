"""The base of executors that run trials on other machines.

All machines see the store. A carrier brings a bundle of trials to a machine and reports that its job has
ended, nothing more. The worker there keeps the time limits and records outcomes in files. A job that
ends without an outcome was lost, for example with its machine: its trials are sent again, and resume
from their checkpoints.
"""

import shutil
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Protocol

from ganbench.errors import GanbenchError

from .base import Executor, JobStatus, OnProgress, TrialLimits
from .bundle import FINAL_OUTCOMES, Bundle, make_run_folder, sweep_run_folders
from .local import WorkersDied, record_failure

POLL_SECONDS = 0.5
READ_SECONDS = 2.0  # between two readings of the store
BUSY_RETRY_SECONDS = 15.0  # before a trial that another run holds is sent again
MAX_LOSSES = 3  # of a trial that had begun, before it fails
MAX_EMPTY_JOBS = 3  # in a row that ended before they began a trial, before the run stops


class Carrier(Protocol):
    """Brings bundles to machines."""

    def submit(self, bundles: Sequence[Bundle]) -> None:
        """Queues bundles; raises GanbenchError if the cluster refuses them."""

    def poll(self) -> dict[Bundle, str]:
        """Returns the bundles that have ended since the last call, each with the reason.

        Raises ClusterLost if the cluster does not answer.
        """

    def cancel(self, bundles: Sequence[Bundle]) -> None:
        """Removes bundles from the queue, and kills running ones."""

    def close(self) -> None:
        """Kills running jobs and disconnects."""


class ClusterLost(GanbenchError, RuntimeError):
    """The cluster is gone, or does not answer."""

    exit_code: ClassVar[int] = 4


@dataclass(frozen=True)
class Remote(Executor):
    """Base class: runs bundles of `trials` trials, at most `jobs` bundles at a time."""

    trials: int = 1
    jobs: int = 1000

    def __post_init__(self) -> None:
        for name in ("trials", "jobs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")

    def connect(self) -> Carrier:
        """Connects to the cluster; raises GanbenchError if there is none."""
        raise NotImplementedError

    def run(
        self, statuses: Sequence[JobStatus], limits: TrialLimits, on_progress: OnProgress
    ) -> None:
        if not statuses:
            return
        session = RemoteRun(statuses, self, limits)
        try:
            session.run(on_progress)
        finally:
            session.close()


class RemoteRun:
    """The bundles of one run: those to be sent, and those on their way."""

    def __init__(self, statuses: Sequence[JobStatus], executor: Remote, limits: TrialLimits):
        self.executor, self.limits = executor, limits
        self.carrier = executor.connect()
        self.store = statuses[0].job.store
        sweep_run_folders(self.store)
        self.folder, self.lease = make_run_folder(self.store)
        self.waiting = deque(split_evenly(statuses, executor.trials))
        self.active: list[Bundle] = []
        self.busy: list[tuple[float, JobStatus]] = []  # trials of other runs, and when to retry
        self.bundles = self.empty_jobs = 0  # the latter in a row
        self.has_losses = False
        self.last_reading = 0.0

    def run(self, on_progress: OnProgress) -> None:
        try:
            while self.waiting or self.active or self.busy:
                self.submit_waiting()
                self.update()
                on_progress()
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            self.stop(on_progress)
            raise

    def submit_waiting(self) -> None:
        """Sends trials until as many jobs as allowed are on their way."""
        now = time.monotonic()
        self.waiting.extend([status] for ready, status in self.busy if ready <= now)
        self.busy = [(ready, status) for ready, status in self.busy if ready > now]
        bundles: list[Bundle] = []
        while self.waiting and len(self.active) + len(bundles) < self.executor.jobs:
            bundles.append(self.make_bundle(self.waiting.popleft()))
        if bundles:
            self.carrier.submit(bundles)
            self.active += bundles

    def make_bundle(self, statuses: Sequence[JobStatus]) -> Bundle:
        self.bundles += 1
        path = self.folder / f"{self.bundles}.json"
        bundle = Bundle(path, statuses, self.limits)
        bundle.write()
        return bundle

    def update(self) -> None:
        """Reads outcomes and progress every other second, and handles jobs that have ended."""
        ended = self.carrier.poll()
        if time.monotonic() - self.last_reading > READ_SECONDS:
            self.last_reading = time.monotonic()
            for bundle in self.active:
                self.read_progress(bundle)
        for bundle, why in ended.items():
            self.active.remove(bundle)
            self.read_progress(bundle)
            self.handle_end(bundle, why)

    def read_progress(self, bundle: Bundle) -> None:
        outcomes = bundle.read_outcomes()
        for status in unfinished(bundle.statuses):
            state, reason = outcomes.get(status.job.trial.id, ("", ""))
            if state in FINAL_OUTCOMES:
                finish(status, state, reason)
            elif status.read_last_event():
                status.state = "running"

    def handle_end(self, bundle: Bundle, why: str) -> None:
        """Sends the trials again that a job left without a final outcome."""
        outcomes = bundle.read_outcomes()
        left = unfinished(bundle.statuses)
        begun = [status for status in left if status.last_own_attempt()]
        if left and not begun and not outcomes:
            self.count_empty_job(bundle, why)
        else:
            self.empty_jobs = 0
        for status in left:
            state, _ = outcomes.get(status.job.trial.id, ("", ""))
            if state == "busy":
                self.busy.append((time.monotonic() + BUSY_RETRY_SECONDS, status))
            elif state == "interrupted" or status not in begun:  # for example preempted
                self.waiting.append([status])
            else:
                self.count_loss(status, why)
            status.state = status.state if status.has_ended else "waiting"

    def count_loss(self, status: JobStatus, why: str) -> None:
        """Sends a lost trial again; its last loss fails it."""
        status.tries += 1
        self.has_losses = True
        record_failure(status.job, why)
        if status.tries < MAX_LOSSES:
            self.waiting.append([status])
        else:
            finish(status, "failed", f"lost {MAX_LOSSES} times; the last time: {why}")

    def count_empty_job(self, bundle: Bundle, why: str) -> None:
        """Counts a job that began no trial; raises WorkersDied at the third in a row."""
        self.empty_jobs += 1
        self.has_losses = True
        if self.empty_jobs < MAX_EMPTY_JOBS:
            return
        last = bundle.read_log_end().strip() or "it printed nothing"
        raise WorkersDied(
            f"{MAX_EMPTY_JOBS} jobs in a row ended before they began a trial ({why}). Finished trials "
            f"and checkpoints are kept. The last output of {bundle.log_path}:\n{last}"
        )

    def stop(self, on_progress: OnProgress) -> None:
        """Stops running trials with checkpoints, and removes queued ones; kills after Ctrl-C."""
        self.waiting.clear()
        self.busy.clear()
        (self.folder / "stop").touch()
        queued = [b for b in self.active if not any(s.last_own_attempt() for s in b.statuses)]
        self.carrier.cancel(queued)
        while self.active:
            for bundle in self.carrier.poll():
                self.active.remove(bundle)
                self.read_stopped(bundle)
            with suppress(OSError):  # the terminal may be closed
                on_progress()
            time.sleep(POLL_SECONDS)

    def read_stopped(self, bundle: Bundle) -> None:
        outcomes = bundle.read_outcomes()
        for status in unfinished(bundle.statuses):
            if state := outcomes.get(status.job.trial.id):
                finish(status, *state)

    def close(self) -> None:
        """Disconnects, and deletes the bundles unless their logs may explain a loss."""
        self.carrier.close()
        self.lease.release()
        if not self.active and not self.has_losses:
            shutil.rmtree(self.folder, ignore_errors=True)
            sweep_run_folders(self.store)


def unfinished(statuses: Iterable[JobStatus]) -> list[JobStatus]:
    return [status for status in statuses if not status.has_ended]


def finish(status: JobStatus, state: str, reason: str) -> None:
    status.read_events()
    status.state, status.reason = state, reason or status.reason


def split_evenly(statuses: Sequence[JobStatus], size: int) -> list[list[JobStatus]]:
    """Returns bundles of at most this size, in the order of the trials."""
    return [list(statuses[start : start + size]) for start in range(0, len(statuses), size)]
