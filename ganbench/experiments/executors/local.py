"""The local executor runs trials in worker processes; a crash costs one trial.

A job goes only to a worker that has imported everything, so a worker that dies before that costs
nothing. After three such deaths in a row the run stops.
"""

import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from ganbench.errors import GanbenchError
from ganbench.experiments.deadline import DeadlineNear
from ganbench.experiments.lease import read_holder
from ganbench.experiments.store import Attempt

from .base import (
    BUSY_RETRY_SECONDS,
    Executor,
    Job,
    JobGroup,
    JobStatus,
    OnProgress,
    TrialLimits,
    split_group,
)
from .outage import Outage
from .watch_clock import WatchClock
from .worker_process import WorkerProcess, is_ready_message, wait_for_message

POLL_SECONDS = 0.5  # seconds between two polls of the workers
MAX_FAILED_STARTS = 3  # in a row
MAX_SHOWN_LINES = 10  # of the last output of a worker


class WorkersDied(GanbenchError, RuntimeError):
    """Workers died repeatedly before they began a trial."""

    exit_code: ClassVar[int] = 4


@dataclass(frozen=True)
class Local(Executor):
    """Runs trials in worker processes on this machine. A second Ctrl-C kills the workers."""

    workers: int = 1

    waits_if_busy: ClassVar[bool] = True  # for trials that other runs hold

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, not {self.workers}")

    def run(
        self, statuses: Sequence[JobStatus], limits: TrialLimits, on_progress: OnProgress
    ) -> None:
        groups = deque(self.group_jobs(statuses))
        session = _LocalRun(groups, self.workers, limits, self.waits_if_busy)
        try:
            run_all(session, on_progress)
        finally:
            session.end_workers()

    def group_jobs(self, statuses: Sequence[JobStatus]) -> list[JobGroup]:
        """Returns the groups of jobs that one worker runs together."""
        return [[status] for status in statuses]


def run_all(session: "_LocalRun", on_progress: OnProgress) -> None:
    """Runs the session's jobs to their ends, or to their checkpoints after Ctrl-C or an error."""
    try:
        while session.has_work():
            session.start_workers()
            session.assign_jobs()
            session.poll()
            on_progress()
    except (KeyboardInterrupt, Exception):  # such as a full disk under the runner's output
        while session.running_workers():
            session.stop_jobs()
            session.poll()
            with suppress(Exception, DeadlineNear):  # the terminal may be closed
                on_progress()
        raise


class _LocalRun:
    def __init__(
        self, waiting: deque[JobGroup], count: int, limits: TrialLimits, waits_if_busy: bool
    ):
        self.waiting, self.count, self.limits = waiting, count, limits
        self.waits_if_busy = waits_if_busy
        self.workers: list[WorkerProcess] = []
        self.clock = WatchClock()
        self.busy_elsewhere: list[JobStatus] = []  # jobs that other runs hold
        self.last_retry = 0.0  # time of the last retry of those jobs
        self.failed_starts = 0  # in a row
        self.stopping = False
        self.outage = Outage()  # while jobs are assigned

    def running_workers(self) -> list[WorkerProcess]:
        return [worker for worker in self.workers if worker.group]

    def has_work(self) -> bool:
        return bool(self.waiting or self.running_workers() or self.busy_elsewhere)

    def start_workers(self) -> None:
        """Starts workers until there is one for each job, or the full count.

        If some run, but no more can be started, the run goes on with these.
        """
        wanted = min(self.count, len(self.waiting) + len(self.running_workers()))
        try:
            while len(self.workers) < wanted:
                self.workers.append(WorkerProcess(self.clock))
        except OSError as error:  # no memory, or too many processes
            if self.workers:
                self.count = len(self.workers)
                return
            self.count_failed_start(f"no worker can be started: {error}", "")

    def assign_jobs(self) -> None:
        if self.busy_elsewhere and time.monotonic() - self.last_retry > BUSY_RETRY_SECONDS:
            self.last_retry = time.monotonic()
            self.waiting.extend([status] for status in self.busy_elsewhere)
            self.busy_elsewhere.clear()
        for worker in self.workers:
            if self.waiting and worker.is_ready and not worker.group:
                with self.outage.tolerated():
                    worker.assign(self.waiting[0])
                    self.waiting.popleft()

    def poll(self) -> None:
        """Handles the messages and deaths of workers, and the progress of running jobs."""
        wait_for_message(self.workers, POLL_SECONDS)
        self.clock.advance()
        for worker in list(self.workers):
            with worker.outage.tolerated():
                self.poll_worker(worker)
            if worker.outage.began is not None:  # the next poll reads the disk again
                worker.last_life = self.clock.seconds
                time.sleep(POLL_SECONDS / len(self.workers))

    def poll_worker(self, worker: WorkerProcess) -> None:
        try:
            self.handle_message(worker, worker.receive())
        except EOFError:
            self.handle_death(worker)
        else:
            self.observe(worker)

    def handle_message(self, worker: WorkerProcess, message: Any) -> None:
        worker.print_output()
        if is_ready_message(message):
            worker.is_ready, self.failed_starts = True, 0
        elif message is not None:
            worker.outcomes = message
        if worker.outcomes:
            self.finish_group(worker)

    def finish_group(self, worker: WorkerProcess) -> None:
        """Finishes the jobs of a worker that has sent their outcomes."""
        read_all_events(worker.group)
        group, outcomes = worker.group, worker.outcomes
        worker.group, worker.outcomes = [], []
        for status, (state, why) in zip(group, outcomes, strict=True):
            if state == "failed" and why:
                record_failure(status.job, why)
            self.finish_job(status, state, why)

    def finish_job(self, status: JobStatus, state: str, why: str) -> None:
        """Gives a job its outcome, after its events are read."""
        status.state, status.reason = state, why or status.reason
        if state == "busy" and self.waits_if_busy:  # another run trains it: use its result
            status.state = "waiting"
            self.busy_elsewhere.append(status)

    def handle_death(self, worker: WorkerProcess) -> None:
        """Retries the jobs of a dead worker: several in halves, and one until its second death.

        Jobs beyond a time limit have failed.
        """
        why, had_jobs = worker.overdue or worker.describe_death(), bool(worker.group)
        group = self.finish_ended_jobs(worker)
        self.workers.remove(worker)
        if not had_jobs:
            self.count_failed_start(why, worker.read_last_output())
            return
        worker.end()
        output = worker.read_last_output(worker.job_output_start)
        for status in group:
            record_failure(status.job, why, output)
        if worker.overdue:
            for status in group:
                self.finish_job(status, "failed", why)
        elif len(group) == 1:
            self.count_death(group[0], why)
        elif group:  # possibly for lack of memory, or by the fault of one
            for half in split_group(group):
                self.retry(half)

    def count_death(self, status: JobStatus, why: str) -> None:
        """Retries a job that ran alone once: its first death may be the machine's fault."""
        status.tries += 1
        if status.tries == 1:
            self.retry([status])
        else:
            self.finish_job(status, "failed", why)

    def finish_ended_jobs(self, worker: WorkerProcess) -> JobGroup:
        """Finishes the jobs that a worker ended before its death; returns the others.

        Nothing has changed if the store cannot be read.
        """
        read_all_events(worker.group)
        ends = [worker.read_end(status.job) for status in worker.group]
        for status, end in zip(worker.group, ends, strict=True):
            if end:
                self.finish_job(status, end["outcome"], end["reason"])
        return [status for status, end in zip(worker.group, ends, strict=True) if not end]

    def retry(self, group: JobGroup) -> None:
        for status in group:
            status.state = "waiting"
        self.waiting.append(group)

    def count_failed_start(self, why: str, output: str) -> None:
        """Counts a worker that began no trial; raises WorkersDied at the third in a row."""
        self.failed_starts += 1
        if self.failed_starts < MAX_FAILED_STARTS or self.stopping:
            return
        lines = [line for line in output.splitlines() if line.strip()][-MAX_SHOWN_LINES:]
        last = ["its last output:", *lines] if lines else ["it printed nothing"]
        raise WorkersDied(
            f"{why} before it began a trial, {MAX_FAILED_STARTS} times in a row. Finished trials and "
            "checkpoints are kept. Free memory or use fewer --workers, then repeat the command; "
            + "\n".join(last)
        )

    def observe(self, worker: WorkerProcess) -> None:
        """Updates the progress of a worker's jobs; kills the worker beyond a time limit.

        Jobs of a group share their time, so the group has the time of all of them.
        """
        now, group = self.clock.seconds, worker.group
        seconds, wall = now - worker.began, self.limits.wall * len(group)
        if not group:
            if not worker.is_ready and seconds > self.limits.stall:
                worker.process.kill()  # the next poll counts its death
            return
        worker.update_progress()
        if seconds > wall:
            self.kill_overdue(worker, f"timeout: not done after {wall:g} s")
        elif now - worker.last_life > self.limits.stall:
            worker.dump_stacks()
            self.kill_overdue(worker, f"stall: no sign of life for {self.limits.stall:g} s")

    def kill_overdue(self, worker: WorkerProcess, why: str) -> None:
        worker.overdue = why
        worker.process.kill()
        self.handle_death(worker)

    def stop_jobs(self) -> None:
        """Drops jobs that have not started, and requests a checkpoint of running ones."""
        self.stopping = True
        self.waiting.clear()
        self.busy_elsewhere.clear()
        for worker in self.running_workers():
            worker.request_stop()

    def end_workers(self) -> None:
        for worker in self.workers:
            if not worker.group:
                worker.pipe.close()  # so that idle workers exit at the same time
        for worker in self.workers:
            worker.end()


def read_all_events(group: JobGroup) -> None:
    for status in group:
        status.read_events()


def record_failure(job: Job, why: str, output: str = "") -> None:
    """Records a failed end of the last attempt, and its output, unless the disk fails.

    The process of the job has ended. If another one holds the trial, the last attempt is that one's.
    """
    with suppress(OSError):
        if read_holder(job.folder.folder):
            return
        attempt = open_attempt(job)
        if output and not attempt.log_path.exists():
            attempt.log_path.write_text(output, encoding="utf-8")
        attempt.record_end("failed", why)


def open_attempt(job: Job) -> Attempt:
    """Returns the last attempt if its end is not recorded, else a new attempt."""
    attempt = job.last_attempt()
    return attempt if attempt and attempt.read_end() is None else job.folder.new_attempt()


def split_to_size(jobs: JobGroup, size: int) -> list[JobGroup]:
    """Splits jobs into as few groups of at most this size as possible, of nearly equal sizes."""
    count = -(-len(jobs) // size)
    share, rest = divmod(len(jobs), count)
    ends = [(number + 1) * share + min(number + 1, rest) for number in range(count)]
    return [jobs[start:end] for start, end in zip([0, *ends], ends, strict=False)]
