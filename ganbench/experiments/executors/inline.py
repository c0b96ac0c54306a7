"""Runs trials one after the other in this process: for debugging, and for the simplest machine."""

from collections.abc import Sequence
from dataclasses import dataclass

from ganbench.experiments.run_trial import run_trial
from ganbench.experiments.store import Busy, Store

from .base import Executor, JobStatus, OnProgress, TrialLimits


@dataclass(frozen=True)
class Inline(Executor):
    """Keeps no limits. Ctrl-C writes no checkpoint beyond the last: nothing watches the trial."""

    def run(
        self, statuses: Sequence[JobStatus], limits: TrialLimits, on_progress: OnProgress
    ) -> None:
        for status in statuses:
            status.state = "running"
            on_progress()
            status.state = run_job(status)
            status.read_events()
            on_progress()


def run_job(status: JobStatus) -> str:
    """Returns the trial's outcome, `busy` if another run holds it."""
    job = status.job
    try:
        return run_trial(job.trial, Store(job.store), job.metrics, lambda: False, job.protocol)
    except Busy:
        return "busy"
