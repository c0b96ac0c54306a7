"""A worker process of the local executor, as its runner handles it."""

import multiprocessing
import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from multiprocessing import connection
from multiprocessing.connection import Connection
from typing import Any

from ganbench.experiments.signals import defer_ctrl_c

from .base import Job, JobGroup
from .outage import Outage
from .watch_clock import WatchClock
from .worker import READY, run_worker

MAX_SECONDS_TO_EXIT = 10.0  # for an idle worker, before it is killed
SECONDS_TO_DUMP = 0.3  # for a hanging worker to print its stacks
MAX_TAIL_BYTES = 4000  # of a worker's last output


class WorkerProcess:
    """A worker process, its jobs and its output, which the runner prints to standard error."""

    def __init__(self, clock: WatchClock) -> None:
        """Starts the process; raises OSError if the system cannot."""
        self.clock = clock
        context = multiprocessing.get_context("spawn")
        self.output = tempfile.TemporaryFile()  # noqa: SIM115
        self.pipe, other_end = context.Pipe()
        inherited = Connection(os.dup(self.output.fileno()), readable=False)
        self.process = context.Process(target=run_worker, args=(other_end, inherited))
        with other_end, inherited, defer_ctrl_c():  # the worker inherits the blocked signals
            self.process.start()
        self.began = clock.seconds
        self.is_ready = False
        self.group: JobGroup = []
        self.outcomes: list[tuple[str, str]] = []  # of the group, until its events are read
        self.overdue = ""  # the reason, once it was killed beyond a time limit
        self.outage = Outage()
        self.printed = self.job_output_start = 0  # positions in the output
        self.last_event = 0.0  # time of the last event of its jobs, by whichever clock
        self.last_life = self.began  # when this runner read it, by its clock

    def assign(self, group: JobGroup) -> None:
        """Sends jobs of one store to this worker, which must be ready and idle."""
        job = group[0].job
        for status in group:
            status.assign()
            status.state = "running"
        self.group, self.began = group, self.clock.seconds
        self.job_output_start = os.fstat(self.output.fileno()).st_size
        self.last_event, self.last_life = 0.0, self.began
        trials = [status.job.trial.to_json() for status in group]
        with suppress(OSError):  # the worker has died: the next poll finds out
            self.pipe.send((trials, job.metrics, str(job.store), job.protocol))

    def receive(self) -> Any:
        """Returns the next message, or None; raises EOFError if the worker has died."""
        try:
            if self.pipe.poll():
                return self.pipe.recv()
        except OSError:  # it died within a message
            raise EOFError from None
        if not self.process.is_alive() and not self.pipe.poll():
            raise EOFError
        return None

    def update_progress(self) -> None:
        """Updates the progress of the jobs, and the time of their last sign of life."""
        if (last := max(status.read_last_event() for status in self.group)) != self.last_event:
            self.last_event, self.last_life = last, self.clock.seconds

    def read_end(self, job: Job) -> dict[str, str] | None:
        """Returns the end of a job that this worker recorded, or None."""
        attempt = job.last_attempt()
        return attempt.read_end() if attempt and self.has_begun(job) else None

    def has_begun(self, job: Job) -> bool:
        """Returns whether the last attempt at a job is of this worker."""
        attempt = job.last_attempt()
        events = attempt.read_events() if attempt else []
        return any(event.get("process") == self.process.pid for event in events)

    def request_stop(self) -> None:
        """Requests checkpoints and the end of the current trials."""
        with suppress(ProcessLookupError):
            os.kill(self.process.pid or 0, signal.SIGTERM)

    def dump_stacks(self) -> None:
        """Makes the process print the stacks of its threads; works while Python code hangs."""
        if hasattr(signal, "SIGQUIT"):
            with suppress(ProcessLookupError):
                os.kill(self.process.pid or 0, signal.SIGQUIT)
            time.sleep(SECONDS_TO_DUMP)

    def end(self) -> None:
        """Ends the process at once if it is busy or starting; an idle one exits by itself."""
        self.pipe.close()
        if self.group or not self.is_ready:
            self.process.kill()
        self.process.join(MAX_SECONDS_TO_EXIT)
        self.process.kill()
        self.process.join()
        self.print_output()

    def print_output(self) -> None:
        """Prints new output of a worker that has started to standard error."""
        if not self.is_ready:
            return
        new = os.pread(self.output.fileno(), 2**20, self.printed)
        self.printed += len(new)
        if new:
            with suppress(OSError, ValueError):  # a closed terminal
                sys.stderr.write(new.decode(errors="replace"))
                sys.stderr.flush()

    def read_last_output(self, since: int = 0) -> str:
        """Returns the last output of the worker, from a position on."""
        size = os.fstat(self.output.fileno()).st_size
        start = max(since, size - MAX_TAIL_BYTES)
        return os.pread(self.output.fileno(), MAX_TAIL_BYTES, start).decode(errors="replace")

    def describe_death(self) -> str:
        """Returns how the process ended, after its death."""
        self.process.join()
        code = self.process.exitcode or 0
        if code >= 0:
            return f"the worker died (exit code {code})"
        name = signal.Signals(-code).name
        hint = ", perhaps for lack of memory" if name == "SIGKILL" else ""
        return f"the worker died (exit code {code}: {name}{hint})"


def wait_for_message(workers: list[WorkerProcess], seconds: float) -> None:
    """Waits until a worker sends a message or dies, but no longer than `seconds`."""
    if not workers:
        time.sleep(seconds)
        return
    handles = [handle for w in workers for handle in (w.pipe, w.process.sentinel)]
    connection.wait(handles, seconds)


def is_ready_message(message: Any) -> bool:
    return bool(message == READY)
