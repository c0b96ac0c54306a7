"""The inline executor: runs trials one after the other in this process, for debugging."""

from collections.abc import Sequence
from dataclasses import dataclass

from ganbench.experiments.run_stacked import run_trials
from ganbench.experiments.store import Store

from .base import Executor, JobStatus, OnProgress, TrialLimits

BUSY_REASON = "another run trains it; repeat this command after its end"


@dataclass(frozen=True)
class Inline(Executor):
    """Runs trials in this process. Ignores time limits, and writes no checkpoint on Ctrl-C."""

    def run(
        self, statuses: Sequence[JobStatus], limits: TrialLimits, on_progress: OnProgress
    ) -> None:
        for status in statuses:
            status.state = "running"
            on_progress()
            status.state, why = run_job(status)
            status.read_events()
            status.reason = why or status.reason
            on_progress()


def run_job(status: JobStatus) -> tuple[str, str]:
    """Runs one trial; returns its outcome, and the reason if no attempt records it.

    The outcome is `busy` if another run holds it.
    """
    job, store = status.job, Store(status.job.store)
    try:
        (outcome,) = run_trials([job.trial], store, job.metrics, lambda: False, job.protocol)
    except OSError as error:  # a full disk
        return "failed", str(error)
    return outcome, BUSY_REASON if outcome == "busy" else ""
