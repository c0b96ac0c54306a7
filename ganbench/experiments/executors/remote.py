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
from ganbench.experiments.deadline import DeadlineNear
from ganbench.experiments.lease import read_holder
from ganbench.experiments.plan_names import ENDED_OUTCOMES

from .base import Executor, JobStatus, OnProgress, TrialLimits
from .bundle import Bundle, make_run_folder, sweep_run_folders
from .local import WorkersDied, record_failure, split_to_size
from .outage import Outage

POLL_SECONDS = 0.5
READ_SECONDS = 2.0  # between two readings of the store
BUSY_RETRY_SECONDS = 15.0  # between two looks at a trial that another run holds
EMPTY_RETRY_SECONDS = 5.0  # before jobs are sent after one that began no trial
REFUSED_RETRY_SECONDS = 30.0  # before jobs that the cluster refused are submitted again
MAX_REFUSED_SECONDS = 600.0  # without any job on its way, after which the run ends
MAX_LOSSES = 3  # of a trial that had begun, before it fails
MAX_EMPTY_JOBS = 3  # in a row that ended before they began a trial, before the run stops


@dataclass(frozen=True)
class JobEnd:
    """How the job of a bundle ended, as far as its cluster knows."""

    reason: str
    cluster_lost: bool = False  # so that neither its machine nor its trials are at fault


Outcomes = dict[str, tuple[str, str]]  # state and reason by trial


class Carrier(Protocol):
    """Brings bundles to machines."""

    batch_size: int  # the largest number of bundles that are submitted together

    def submit(self, bundles: Sequence[Bundle]) -> None:
        """Queues bundles; raises SubmissionRefused, or ClusterLost if there is no cluster."""

    def poll(self) -> dict[Bundle, JobEnd]:
        """Returns the bundles that have ended and are not forgotten yet.

        Raises ClusterLost if the cluster does not answer.
        """

    def forget(self, bundle: Bundle) -> None:
        """Drops a bundle that has ended."""

    def cancel_queued(self, not_begun: Sequence[Bundle]) -> None:
        """Removes jobs from the queue; may kill those of the given bundles."""

    def close(self) -> None:
        """Kills running jobs and disconnects."""


class ClusterLost(GanbenchError, RuntimeError):
    """The cluster is gone, or does not answer."""

    exit_code: ClassVar[int] = 4


class SubmissionRefused(ClusterLost):
    """The cluster refuses jobs, perhaps for a while."""


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
        self.store = statuses[0].job.store
        self.carrier = executor.connect()
        try:
            sweep_run_folders(self.store)
            self.folder, self.lease = make_run_folder(self.store)
        except BaseException:
            self.carrier.close()
            raise
        self.waiting = deque(split_to_size(list(statuses), executor.trials))
        self.active: list[Bundle] = []
        self.busy: list[tuple[float, JobStatus]] = []  # trials of other runs, and when to retry
        self.bundles = self.empty_jobs = 0  # the latter in a row
        self.interrupted_at: dict[str, int] = {}  # by trial: its step at the last interruption
        self.has_losses = False
        self.last_empty_job = 0.0
        self.last_reading = 0.0
        self.submit_after = 0.0
        self.last_submission: float | None = None
        self.outage = Outage()  # while trials of other runs are looked at

    def run(self, on_progress: OnProgress) -> None:
        try:
            while self.waiting or self.active or self.busy:
                self.submit_waiting()
                self.update()
                on_progress()
                time.sleep(POLL_SECONDS)
        except (KeyboardInterrupt, WorkersDied, OSError):  # the latter of the runner's output
            self.stop(on_progress)
            raise

    def submit_waiting(self) -> None:
        """Sends trials until as many jobs as allowed are on their way."""
        self.retry_busy_trials()
        if time.monotonic() < self.submit_after:
            return
        while self.waiting and (free := self.executor.jobs - len(self.active)) > 0:
            count = min(free, len(self.waiting), self.carrier.batch_size)
            groups = [self.waiting.popleft() for _ in range(count)]
            try:
                self.submit([self.make_bundle(group) for group in groups])
            except (SubmissionRefused, OSError):  # a network disk may fail for a while
                self.waiting.extendleft(reversed(groups))
                if self.last_submission is None or self.was_refused_for_long():
                    raise
                self.submit_after = time.monotonic() + REFUSED_RETRY_SECONDS
                return

    def submit(self, bundles: Sequence[Bundle]) -> None:
        self.carrier.submit(bundles)
        self.active += bundles
        self.last_submission = time.monotonic()
        for bundle in bundles:
            bundle.submitted = self.last_submission

    def was_refused_for_long(self) -> bool:
        """Returns whether no job is on its way, and none was accepted for a while."""
        assert self.last_submission is not None
        return not self.active and time.monotonic() - self.last_submission > MAX_REFUSED_SECONDS

    def retry_busy_trials(self) -> None:
        """Queues the trials again whose other runs have let them go."""
        now = time.monotonic()
        for entry in [entry for entry in self.busy if entry[0] <= now]:
            self.busy.remove(entry)
            status = entry[1]
            is_held = True
            with self.outage.tolerated():
                is_held = read_holder(status.job.folder.folder) is not None
            if is_held:
                self.busy.append((now + BUSY_RETRY_SECONDS, status))
            else:
                self.waiting.append([status])

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
                with suppress(OSError):  # a network disk may fail for a while
                    self.read_progress(bundle)
        for bundle, end in ended.items():
            try:
                outcomes = self.read_progress(bundle)
                begun = find_begun(unfinished(bundle.statuses))
            except OSError:  # the next poll has it again
                continue
            self.handle_end(bundle, end, outcomes, begun)
            self.drop(bundle)

    def drop(self, bundle: Bundle) -> None:
        self.active.remove(bundle)
        self.carrier.forget(bundle)

    def read_progress(self, bundle: Bundle) -> Outcomes:
        """Reads the outcomes and the progress of a bundle; returns its outcomes by trial."""
        outcomes = bundle.read_outcomes()
        for status in unfinished(bundle.statuses):
            state, reason = outcomes.get(status.job.trial.id, ("", ""))
            if state in ENDED_OUTCOMES:
                finish(status, state, reason)
            elif status.read_last_event():
                status.state = "running"
        return outcomes

    def handle_end(
        self, bundle: Bundle, end: JobEnd, outcomes: Outcomes, begun: list[JobStatus]
    ) -> None:
        """Sends the trials again that a job left without a final outcome."""
        left = unfinished(bundle.statuses)
        if left and not begun and not outcomes and not end.cluster_lost:
            self.count_empty_job(bundle, end.reason)
        else:
            self.empty_jobs = 0
        for status in left:
            status.state = "waiting"
            state, _ = outcomes.get(status.job.trial.id, ("", ""))
            if state == "busy":
                self.busy.append((time.monotonic() + BUSY_RETRY_SECONDS, status))
            elif end.cluster_lost or status not in begun or self.made_progress(status, state):
                self.waiting.append([status])
            else:
                self.count_loss(status, end.reason)

    def made_progress(self, status: JobStatus, state: str) -> bool:
        """Returns whether a job was interrupted, as by preemption, at a later step than before."""
        before = self.interrupted_at.get(status.job.trial.id, -1)
        self.interrupted_at[status.job.trial.id] = status.step
        return state == "interrupted" and status.step > before

    def count_loss(self, status: JobStatus, why: str) -> None:
        """Sends a lost trial again; its last loss fails it."""
        status.tries += 1
        self.has_losses = True
        record_failure(status.job, why)
        if status.tries < MAX_LOSSES:
            self.waiting.append([status])
            return
        with suppress(OSError):  # a network disk may fail for a while
            status.read_events()
        status.state, status.reason = "failed", f"lost {MAX_LOSSES} times; the last time: {why}"

    def count_empty_job(self, bundle: Bundle, why: str) -> None:
        """Counts a job that began no trial; raises WorkersDied at the third in a row.

        Jobs that were on their way together count as one: they may have lost the same machine.
        """
        self.has_losses = True
        self.submit_after = time.monotonic() + EMPTY_RETRY_SECONDS
        if bundle.submitted < self.last_empty_job:
            return
        self.last_empty_job = time.monotonic()
        self.empty_jobs += 1
        if self.empty_jobs < MAX_EMPTY_JOBS:
            return
        last = bundle.read_last_output() or "it printed nothing"
        raise WorkersDied(
            f"{MAX_EMPTY_JOBS} jobs in a row ended before they began a trial ({why}). Finished trials "
            f"and checkpoints are kept. The last output of {bundle.path.stem} in {self.folder}:\n{last}"
        )

    def stop(self, on_progress: OnProgress) -> None:
        """Stops running trials with checkpoints, and removes queued ones; kills after Ctrl-C."""
        self.waiting.clear()
        self.busy.clear()
        is_requested = self.request_stop()
        while self.active:
            is_requested = is_requested or self.request_stop()
            for bundle in list(self.carrier.poll()):
                with suppress(OSError):  # the next poll has it again
                    self.read_stopped(bundle)
                    self.drop(bundle)
            with suppress(OSError, DeadlineNear):  # the terminal may be closed
                on_progress()
            time.sleep(POLL_SECONDS)

    def request_stop(self) -> bool:
        """Requests checkpoints of running trials, and removes queued jobs; returns its success."""
        try:
            (self.folder / "stop").touch()
            queued = [bundle for bundle in self.active if not find_begun(bundle.statuses)]
        except OSError:  # a network disk may fail for a while
            return False
        self.carrier.cancel_queued(queued)
        return True

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


def find_begun(statuses: Iterable[JobStatus]) -> list[JobStatus]:
    """Returns the trials that a worker has begun since they were last assigned."""
    return [status for status in statuses if status.last_own_attempt()]


def finish(status: JobStatus, state: str, reason: str) -> None:
    status.read_events()
    status.state, status.reason = state, reason or status.reason
