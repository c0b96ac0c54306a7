"""The local executor runs trials in worker processes (Pebble); a crash costs one trial."""

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import active_children
from typing import Any

from pebble import ProcessExpired, ProcessPool

from ganbench.experiments.signals import defer_ctrl_c
from ganbench.experiments.store import Attempt
from ganbench.files import read_json_lines

from .base import Executor, Job, JobStatus, OnProgress, TrialLimits
from .worker import prepare_worker, run_job_in_worker

POLL_SECONDS = 0.5  # seconds between two polls of the workers
BUSY_RETRY_SECONDS = 2.0  # seconds before a trial that another run holds is retried
JOBS_AHEAD_PER_WORKER = 2  # submitted jobs per worker, so that no worker runs idle


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
        context = multiprocessing.get_context("spawn")
        pool = ProcessPool(max_workers=self.workers, initializer=prepare_worker, context=context)
        session = _LocalRun(pool, deque(statuses), self.workers, limits)
        with defer_ctrl_c():  # the pool's threads and workers inherit the blocked signal
            session.submit_jobs()
        try:
            run_all(session, on_progress)
            pool.close()
        except BaseException:
            pool.stop()
            raise
        finally:
            pool.join()


def run_all(session: "_LocalRun", on_progress: OnProgress) -> None:
    """Runs the session's jobs to their ends, or to their checkpoints after Ctrl-C."""
    try:
        while session.has_work():
            session.submit_jobs()
            session.poll()
            on_progress()
    except KeyboardInterrupt:
        while session.running:
            session.stop_jobs()
            session.poll()
            on_progress()
        raise


class _LocalRun:
    def __init__(
        self, pool: ProcessPool, waiting: deque[JobStatus], workers: int, limits: TrialLimits
    ):
        self.pool, self.waiting, self.workers, self.limits = pool, waiting, workers, limits
        self.running: dict[Future[str], JobStatus] = {}
        self.busy_elsewhere: list[JobStatus] = []  # jobs that other runs hold
        self.last_retry = 0.0  # time of the last retry of those jobs

    def has_work(self) -> bool:
        return bool(self.waiting or self.running or self.busy_elsewhere)

    def submit_jobs(self) -> None:
        if self.busy_elsewhere and time.monotonic() - self.last_retry > BUSY_RETRY_SECONDS:
            self.last_retry = time.monotonic()
            self.waiting.extend(self.busy_elsewhere)
            self.busy_elsewhere.clear()
        while self.waiting and len(self.running) < JOBS_AHEAD_PER_WORKER * self.workers:
            status = self.waiting.popleft()
            job = status.job
            arguments = [job.trial.to_json(), job.metrics, str(job.store), job.protocol]
            future = self.pool.schedule(run_job_in_worker, args=arguments, timeout=self.limits.wall)
            status.tries += 1
            self.running[future] = status

    def poll(self) -> None:
        """Handles the finished jobs and updates the progress of the running ones."""
        if not self.running:
            time.sleep(POLL_SECONDS)
        done, _ = wait(self.running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        for future in done:
            self.finish_job(future, self.running.pop(future))
        for future, status in self.running.items():
            if future.running():
                self.observe_job(future, status)

    def finish_job(self, future: Future[str], status: JobStatus) -> None:
        try:
            status.state, why = future.result(), ""
        except TimeoutError:
            status.state, why = "failed", f"timeout: not done after {self.limits.wall:g} s"
        except CancelledError:
            stalled = f"stall: no sign of life for {self.limits.stall:g} s"
            status.state, why = (
                ("failed", stalled) if status.state == "running" else ("waiting", "")
            )
        except ProcessExpired as death:
            status.state, why = "failed", f"the worker died (exit code {death.exitcode})"
            if status.tries == 1:  # possibly the machine's fault: retry once
                self.waiting.append(status)
        except Exception as error:
            status.state, why = "failed", f"{type(error).__name__}: {error}"
        if why:
            open_attempt(status.job).record_end("failed", why)
        status.read_events()
        if (
            status.state == "busy"
        ):  # another run trains this trial, and this run will use its result
            self.busy_elsewhere.append(status)
        if status in self.waiting or status in self.busy_elsewhere:
            status.state = "waiting"

    def observe_job(self, future: Future[str], status: JobStatus) -> None:
        if status.state != "running":
            status.state, status.began = "running", time.time()
        event = last_event(status.job, status.began)
        status.update(event)
        if time.time() - event.get("time", status.began) > self.limits.stall:
            future.cancel()

    def stop_jobs(self) -> None:
        """Drops jobs that have not started, and sends SIGTERM to running ones for a checkpoint."""
        self.waiting.clear()
        self.busy_elsewhere.clear()
        for future, status in list(self.running.items()):
            if not future.running():
                future.cancel()
            elif (process := process_id_of(status.job)) in (c.pid for c in active_children()):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGTERM)


def open_attempt(job: Job) -> Attempt:
    """Returns the last attempt if its end is not recorded, else a new attempt."""
    attempt = job.last_attempt()
    return attempt if attempt and attempt.read_end() is None else job.folder.new_attempt()


def last_event(job: Job, since: float) -> dict[str, Any]:
    """Returns the last event of the current attempt, or an empty dict if it has none yet."""
    attempt = job.last_attempt()
    events = read_json_lines(attempt.events_path) if attempt else []
    return events[-1] if events and events[-1]["time"] >= since else {}


def process_id_of(job: Job) -> int:
    """Returns the id of the process that runs this job, or 0."""
    attempt = job.last_attempt()
    events = read_json_lines(attempt.events_path) if attempt and attempt.read_end() is None else []
    return next((event["process"] for event in events if "process" in event), 0)
