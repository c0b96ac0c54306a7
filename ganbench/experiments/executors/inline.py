"""The inline executor: runs trials one after the other in this process, for debugging."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ganbench.experiments.run_stacked import run_trials
from ganbench.experiments.store import Store

from .base import BUSY_RETRY_SECONDS, Executor, JobStatus, OnProgress, TrialLimits


@dataclass(frozen=True)
class Inline(Executor):
    """Runs trials in this process. Ignores time limits, and writes no checkpoint on Ctrl-C.

    Trials that another run holds are tried again until they are free, to use their results.
    """

    def run(
        self, statuses: Sequence[JobStatus], limits: TrialLimits, on_progress: OnProgress
    ) -> None:
        left = list(statuses)
        while left:
            for status in left:
                run_shown_job(status, on_progress)
            left = [status for status in left if status.state == "waiting"]
            time.sleep(BUSY_RETRY_SECONDS if left else 0)


def run_shown_job(status: JobStatus, on_progress: OnProgress) -> None:
    """Runs one trial and shows its progress; it waits again if another run holds it."""
    status.state = "running"
    on_progress()
    outcome, why = run_job(status)
    status.read_events()
    status.state = "waiting" if outcome == "busy" else outcome
    status.reason = why or status.reason
    on_progress()


def run_job(status: JobStatus) -> tuple[str, str]:
    """Runs one trial; returns its outcome and the reason if its end cannot be recorded.

    The outcome is `busy` if another run holds it.
    """
    job, store = status.job, Store(status.job.store)
    try:
        (outcome,) = run_trials([job.trial], store, job.metrics, lambda: False, job.protocol)
    except OSError as error:  # a full disk
        return "failed", str(error)
    return outcome, ""
