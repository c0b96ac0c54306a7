"""Runs trials one after the other in this process: for debugging, and for the simplest machine."""

from collections.abc import Sequence

from ..store import Busy, Store
from ..trial import run_trial
from .base import Limits, Status, Watch


def run(statuses: Sequence[Status], workers: int, limits: Limits, watch: Watch) -> None:
    """Runs every job to its end. Limits are not kept, and Ctrl-C writes no checkpoint beyond the last:
    nobody is there to watch."""
    for status in statuses:
        job = status.job
        status.state = "running"
        watch()
        try:
            store = Store(job.store)
            status.state = run_trial(job.trial, store, job.metrics, lambda: False, job.protocol)
        except Busy:
            status.state = "busy"
        status.catch_up()
        watch()
