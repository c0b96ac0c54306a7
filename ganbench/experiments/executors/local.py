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
from ganbench.experiments.store import Attempt

from .base import Executor, Job, JobStatus, OnProgress, TrialLimits
from .worker_process import WorkerProcess, is_ready_message, wait_for_message

POLL_SECONDS = 0.5  # seconds between two polls of the workers
BUSY_RETRY_SECONDS = 2.0  # seconds before a trial that another run holds is retried
MAX_FAILED_STARTS = 3  # in a row
MAX_SHOWN_LINES = 10  # of the last output of a worker


class WorkersDied(GanbenchError, RuntimeError):
    """Workers died repeatedly before they began a trial."""

    exit_code: ClassVar[int] = 4


@dataclass(frozen=True)
class Local(Executor):
    """Runs trials in worker processes on this machine. A second Ctrl-C kills the workers."""

    workers: int = 1

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, not {self.workers}")

    def run(
        self, statuses: Sequence[JobStatus], limits: TrialLimits, on_progress: OnProgress
    ) -> None:
        session = _LocalRun(deque(statuses), self.workers, limits)
        try:
            run_all(session, on_progress)
        finally:
            session.end_workers()


def run_all(session: "_LocalRun", on_progress: OnProgress) -> None:
    """Runs the session's jobs to their ends, or to their checkpoints after Ctrl-C."""
    try:
        while session.has_work():
            session.start_workers()
            session.assign_jobs()
            session.poll()
            on_progress()
    except (KeyboardInterrupt, WorkersDied):
        while session.running_workers():
            session.stop_jobs()
            session.poll()
            with suppress(OSError):  # the terminal may be closed
                on_progress()
        raise


class _LocalRun:
    def __init__(self, waiting: deque[JobStatus], count: int, limits: TrialLimits):
        self.waiting, self.count, self.limits = waiting, count, limits
        self.workers: list[WorkerProcess] = []
        self.busy_elsewhere: list[JobStatus] = []  # jobs that other runs hold
        self.last_retry = 0.0  # time of the last retry of those jobs
        self.failed_starts = 0  # in a row
        self.stopping = False

    def running_workers(self) -> list[WorkerProcess]:
        return [worker for worker in self.workers if worker.status]

    def has_work(self) -> bool:
        return bool(self.waiting or self.running_workers() or self.busy_elsewhere)

    def start_workers(self) -> None:
        """Starts workers until there is one for each job, or the full count."""
        wanted = min(self.count, len(self.waiting) + len(self.running_workers()))
        try:
            while len(self.workers) < wanted:
                self.workers.append(WorkerProcess())
        except OSError as error:  # no memory, or too many processes
            self.count_failed_start(f"no worker can be started: {error}", "")

    def assign_jobs(self) -> None:
        if self.busy_elsewhere and time.monotonic() - self.last_retry > BUSY_RETRY_SECONDS:
            self.last_retry = time.monotonic()
            self.waiting.extend(self.busy_elsewhere)
            self.busy_elsewhere.clear()
        for worker in self.workers:
            if self.waiting and worker.is_ready and not worker.status:
                worker.assign(self.waiting.popleft())

    def poll(self) -> None:
        """Handles the messages and deaths of workers, and the progress of running jobs."""
        wait_for_message(self.workers, POLL_SECONDS)
        for worker in list(self.workers):
            try:
                self.handle_message(worker, worker.receive())
            except EOFError:
                self.workers.remove(worker)
                self.handle_death(worker)
        for worker in list(self.workers):
            self.observe(worker)

    def handle_message(self, worker: WorkerProcess, message: Any) -> None:
        worker.print_output()
        if is_ready_message(message):
            worker.is_ready, self.failed_starts = True, 0
        elif message is not None and worker.status:
            status, worker.status = worker.status, None
            state, why = message
            if state == "failed" and why:
                record_failure(status.job, why)
            self.finish_job(status, state, why)

    def finish_job(self, status: JobStatus, state: str, why: str) -> None:
        status.read_events()
        status.state, status.reason = state, why or status.reason
        if state == "busy":  # another run trains this trial, and this run will use its result
            status.state = "waiting"
            self.busy_elsewhere.append(status)

    def handle_death(self, worker: WorkerProcess) -> None:
        """Retries the job of a dead worker, or fails it if this was the second death."""
        why, status = worker.describe_death(), worker.status
        if status is None or not worker.has_begun(status.job):
            if status:
                self.retry(status)
            self.count_failed_start(why, worker.read_last_output())
            return
        worker.print_output()
        status.tries += 1
        record_failure(status.job, why, worker.read_last_output(worker.job_output_start))
        if status.tries == 1:  # possibly the machine's fault: retry once
            self.retry(status)
        else:
            self.finish_job(status, "failed", why)

    def retry(self, status: JobStatus) -> None:
        status.state = "waiting"
        self.waiting.append(status)

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
        """Updates the progress of a worker's job; kills the worker beyond a time limit."""
        seconds, status = time.monotonic() - worker.began, worker.status
        if status is None:
            if not worker.is_ready and seconds > self.limits.stall:
                worker.process.kill()  # the next poll counts its death
            return
        event = last_event(status.job, status.began)
        status.update(event)
        if seconds > self.limits.wall:
            self.fail_slow_job(worker, f"timeout: not done after {self.limits.wall:g} s")
        elif time.time() - event.get("time", status.began) > self.limits.stall:
            self.fail_slow_job(worker, f"stall: no sign of life for {self.limits.stall:g} s")

    def fail_slow_job(self, worker: WorkerProcess, why: str) -> None:
        status = worker.status
        self.workers.remove(worker)
        worker.end()
        if status:
            record_failure(status.job, why)
            self.finish_job(status, "failed", why)

    def stop_jobs(self) -> None:
        """Drops jobs that have not started, and requests a checkpoint of running ones."""
        self.stopping = True
        self.waiting.clear()
        self.busy_elsewhere.clear()
        for worker in self.running_workers():
            worker.request_stop()

    def end_workers(self) -> None:
        for worker in self.workers:
            if not worker.status:
                worker.jobs.close()  # so that idle workers exit at the same time
        for worker in self.workers:
            worker.end()


def record_failure(job: Job, why: str, output: str = "") -> None:
    """Records a failed end of the last attempt, and its output; a full disk may prevent it."""
    with suppress(OSError):
        attempt = open_attempt(job)
        if output and not attempt.log_path.exists():
            attempt.log_path.write_text(output, encoding="utf-8")
        attempt.record_end("failed", why)


def open_attempt(job: Job) -> Attempt:
    """Returns the last attempt if its end is not recorded, else a new attempt."""
    attempt = job.last_attempt()
    return attempt if attempt and attempt.read_end() is None else job.folder.new_attempt()


def last_event(job: Job, since: float) -> dict[str, Any]:
    """Returns the last event of the current attempt, or an empty dict if it has none yet."""
    attempt = job.last_attempt()
    events = attempt.read_events() if attempt else []
    return events[-1] if events and events[-1]["time"] >= since else {}
