"""The worker's side of the local executor: a process that lives for many trials."""

import os
import signal
import threading
from multiprocessing import connection, parent_process
from pathlib import Path

from ganbench.experiments.run_trial import run_trial
from ganbench.experiments.store import Busy, Store
from ganbench.experiments.trial import Trial

STOP_REQUESTED = threading.Event()


def prepare_worker() -> None:
    """Once a process. Ctrl-C is the runner's to answer; SIGTERM asks for a checkpoint and an end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: STOP_REQUESTED.set())
    threading.Thread(target=_die_with_the_runner, daemon=True).start()


def _die_with_the_runner() -> None:
    """A runner that is killed must not leave workers that hold trials."""
    runner = parent_process()
    if runner is not None:
        connection.wait([runner.sentinel])
        os._exit(1)


def run_job_in_worker(trial: str, metrics: tuple[str, ...], store: str, protocol: str) -> str:
    """Runs one trial, told as JSON; returns its outcome, `busy` if another run holds it."""
    STOP_REQUESTED.clear()  # what was asked of the trial before is not asked of this one
    try:
        own_trial = Trial.from_json(trial)
        return run_trial(own_trial, Store(Path(store)), metrics, STOP_REQUESTED.is_set, protocol)
    except Busy:
        return "busy"
