"""Runs trials in worker processes on this machine; a crash or a time-out costs one trial (Pebble)."""

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

from ganbench.experiments.signals import ctrl_c_held_back
from ganbench.experiments.store import Attempt
from ganbench.files import read_lines

from .base import Executor, Job, Limits, Status, Watch
from .worker import begin, work

TICK = 0.5  # seconds between two looks at the workers
RETRY = 2.0  # seconds between two tries at trials that another run holds
AHEAD = 2  # jobs a worker that are handed out, so that none waits for work


@dataclass(frozen=True)
class Local(Executor):
    """Worker processes on this machine. At a second Ctrl-C they are killed."""

    workers: int = 1

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, not {self.workers}")

    def run(self, statuses: Sequence[Status], limits: Limits, on_progress: Watch) -> None:
        context = multiprocessing.get_context("spawn")
        pool = ProcessPool(max_workers=self.workers, initializer=begin, context=context)
        session = _Session(pool, deque(statuses), self.workers, limits)
        with ctrl_c_held_back():  # the pool's threads and workers inherit that it is not for them
            session.hand_out()
        try:
            run_all(session, on_progress)
            pool.close()
        except BaseException:
            pool.stop()
            raise
        finally:
            pool.join()


def run_all(session: "_Session", on_progress: Watch) -> None:
    """Runs the session's jobs to their ends, or on Ctrl-C to their checkpoints."""
    try:
        while session.busy():
            session.hand_out()
            session.look()
            on_progress()
    except KeyboardInterrupt:
        while session.running:
            session.stop()
            session.look()
            on_progress()
        raise


class _Session:
    def __init__(self, pool: ProcessPool, waiting: deque[Status], workers: int, limits: Limits):
        self.pool, self.waiting, self.workers, self.limits = pool, waiting, workers, limits
        self.running: dict[Future[str], Status] = {}
        self.held: list[Status] = []  # by other runs
        self.asked = 0.0  # when those were last tried

    def busy(self) -> bool:
        return bool(self.waiting or self.running or self.held)

    def hand_out(self) -> None:
        if self.held and time.monotonic() - self.asked > RETRY:
            self.asked = time.monotonic()
            self.waiting.extend(self.held)
            self.held.clear()
        while self.waiting and len(self.running) < AHEAD * self.workers:
            status = self.waiting.popleft()
            job = status.job
            arguments = [job.trial.to_json(), job.metrics, str(job.store), job.protocol]
            future = self.pool.schedule(work, args=arguments, timeout=self.limits.wall)
            status.tries += 1
            self.running[future] = status

    def look(self) -> None:
        """Takes in what has ended, and reads how far the rest is."""
        if not self.running:
            time.sleep(TICK)
        done, _ = wait(self.running, timeout=TICK, return_when=FIRST_COMPLETED)
        for future in done:
            self.take_in(future, self.running.pop(future))
        for future, status in self.running.items():
            if future.running():
                self.observe(future, status)

    def take_in(self, future: Future[str], status: Status) -> None:
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
            if status.tries == 1:  # the machine's fault, perhaps: once more
                self.waiting.append(status)
        except Exception as error:
            status.state, why = "failed", f"{type(error).__name__}: {error}"
        if why:
            under_way(status.job).end("failed", why)
        status.catch_up()
        if status.state == "busy":  # another run trains it: its result will do for this one
            self.held.append(status)
        if status in self.waiting or status in self.held:
            status.state = "waiting"

    def observe(self, future: Future[str], status: Status) -> None:
        if status.state != "running":
            status.state, status.began = "running", time.time()
        event = latest(status.job, status.began)
        status.see(event)
        if time.time() - event.get("time", status.began) > self.limits.stall:
            future.cancel()

    def stop(self) -> None:
        """Asks for checkpoints: what has not begun is dropped, what runs is told."""
        self.waiting.clear()
        self.held.clear()
        for future, status in list(self.running.items()):
            if not future.running():
                future.cancel()
            elif (process := process_of(status.job)) in (c.pid for c in active_children()):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGTERM)


def under_way(job: Job) -> Attempt:
    """The attempt that has not said how it ended; a new one if the trial had not even begun."""
    attempt = job.attempt()
    return attempt if attempt and attempt.ending() is None else job.folder.new_attempt()


def latest(job: Job, since: float) -> dict[str, Any]:
    """The last event of the attempt that is under way, or nothing yet."""
    attempt = job.attempt()
    events = read_lines(attempt.events) if attempt else []
    return events[-1] if events and events[-1]["time"] >= since else {}


def process_of(job: Job) -> int:
    """The process that is at this job, or 0."""
    attempt = job.attempt()
    events = read_lines(attempt.events) if attempt and attempt.ending() is None else []
    return next((event["process"] for event in events if "process" in event), 0)
