"""The worker process of the local executor, which runs many trials.

It imports torch late: before that, it redirects its output and prepares to end with its runner. A
worker that dies while it imports has begun no trial.
"""

import faulthandler
import os
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from ganbench.experiments.signals import end_with_parent_process

READY = "ready"  # the first message of a worker, after its imports
STOP_REQUESTED = threading.Event()


def run_worker(jobs: "Connection", output: "Connection") -> None:
    """Runs the jobs that arrive through a connection, until the runner closes it."""
    redirect_output(output)
    prepare_worker()
    import ganbench.experiments.run_stacked  # noqa: F401  (imports torch)

    with suppress(EOFError, OSError):
        jobs.send(READY)
        while True:
            jobs.send(run_jobs_in_worker(*jobs.recv()))


def redirect_output(output: "Connection") -> None:
    """Sends both standard streams of this process into one file of the runner."""
    for stream in (1, 2):
        os.dup2(output.fileno(), stream)
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]


def prepare_worker() -> None:
    """Sets up a worker process: ignores SIGINT, and takes SIGTERM as a request to stop.

    A stopped trial writes a checkpoint first. The runner handles Ctrl-C. SIGQUIT prints the stacks of all
    threads, so that the log of a worker that hangs shows where.
    """
    if hasattr(signal, "SIGQUIT"):  # not on Windows
        faulthandler.register(signal.SIGQUIT, all_threads=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: STOP_REQUESTED.set())
    end_with_parent_process()  # the runner; a worker alone would keep its trial locked


def run_jobs_in_worker(
    trials: list[str], metrics: tuple[str, ...], store: str, protocol: str
) -> list[tuple[str, str]]:
    """Runs a trial, or stacked ones, given as JSON; returns outcomes, and reasons of an error.

    The outcome is `busy` if another run holds a trial.
    """
    from ganbench.experiments.run_stacked import run_trials
    from ganbench.experiments.store import Store
    from ganbench.experiments.trial import Trial
    from ganbench.registry import explain_error

    if STOP_REQUESTED.is_set():
        return [("interrupted", "stopped before it began")] * len(trials)
    try:
        own_trials = [Trial.from_json(text) for text in trials]
        stop = STOP_REQUESTED.is_set
        outcomes = run_trials(own_trials, Store(Path(store)), metrics, stop, protocol)
        return [(outcome, "") for outcome in outcomes]
    except BaseException as error:  # for example a full disk, or SystemExit of a plugin
        return [("failed", explain_error(error))] * len(trials)
    finally:
        STOP_REQUESTED.clear()  # the request does not apply to the next trials
