"""The worker process of the local executor, which runs many trials."""

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
    """Sets up a worker process: ignores SIGINT, and takes SIGTERM as a request to stop.

    A stopped trial writes a checkpoint first. The runner handles Ctrl-C.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: STOP_REQUESTED.set())
    threading.Thread(target=_die_with_the_runner, daemon=True).start()


def _die_with_the_runner() -> None:
    """Ends this worker when the runner dies, so that it does not keep its trial locked."""
    runner = parent_process()
    if runner is not None:
        connection.wait([runner.sentinel])
        os._exit(1)


def run_job_in_worker(trial: str, metrics: tuple[str, ...], store: str, protocol: str) -> str:
    """Runs one trial, given as JSON; returns its outcome, or `busy` if another run holds it."""
    STOP_REQUESTED.clear()  # a stop request for the previous trial does not apply to this one
    try:
        own_trial = Trial.from_json(trial)
        return run_trial(own_trial, Store(Path(store)), metrics, STOP_REQUESTED.is_set, protocol)
    except Busy:
        return "busy"
