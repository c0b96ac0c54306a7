"""A run whose plan is written: runs its pending jobs and shows their progress."""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganbench.evaluation.evaluator import evaluator_for
from ganbench.experiments.executors.base import Executor, Job, JobStatus, OnProgress, TrialLimits
from ganbench.experiments.monitoring.trial_progress import TrialProgress
from ganbench.experiments.monitoring.watch import announce_run

from .deadline import Deadline
from .durations import parse_seconds
from .plan_names import TRAINED_OUTCOMES
from .run_trial import is_finished
from .store import Store
from .suite import LimitsConfig, Suite
from .trial import Trial

ShowProgress = Callable[
    [Sequence[TrialProgress], int], None
]  # pending jobs, number of trials that were finished before the run

MAX_DISPLAY_SHARE = 0.05  # of a run's time that its progress display may take
MAX_DISPLAY_SECONDS = 0.1  # of display time that may be saved up

DELETED = "its result was deleted during the run: run it again"


@dataclass(frozen=True)
class RunResult:
    """The outcome of a run: the status of every job, and the plan for the tables."""

    folder: Path  # the suite's folder, for plan.json and the tables
    plan: dict[str, Any]  # the content of plan.json, in the suite's order
    statuses: list[JobStatus]
    finished_before: int
    seconds: float
    replaced: bool = False  # whether the folder had another plan of this name
    left_out: int = 0  # unfinished trials that the selection left out
    trained_before: int = 0  # jobs that were only measured


@dataclass(frozen=True)
class PreparedRun:
    """A suite with a written plan and measured floors; only its trials remain to run."""

    suite: Suite
    folder: Path
    plan: dict[str, Any]
    statuses: list[JobStatus]
    finished_before: int
    replaced: bool
    began: float
    notes: list[str]  # on the data: left out files, sets that are too small
    left_out: int = 0  # unfinished trials that the selection left out
    trained_before: int = 0  # pending jobs that need only be measured

    def execute(
        self, executor: Executor, show: ShowProgress, deadline: Deadline | None = None
    ) -> RunResult:
        """Runs the pending jobs.

        After Ctrl-C, raises KeyboardInterrupt once the checkpoints are written, and DeadlineReached
        near the deadline.
        """
        display = ProgressDisplay(self.statuses, self.finished_before, show, deadline)
        execute_shown_jobs(self.folder, display, self.suite.limits, executor)
        return RunResult(
            folder=self.folder,
            plan=self.plan,
            statuses=self.statuses,
            finished_before=self.finished_before,
            seconds=time.monotonic() - self.began,
            replaced=self.replaced,
            left_out=self.left_out,
            trained_before=self.trained_before,
        )


class ProgressDisplay:
    """Shows the progress of a run as often as its share of the time allows.

    A view of many trials takes long, and executors call it after every event.
    """

    def __init__(
        self,
        statuses: list[JobStatus],
        finished_before: int,
        show: ShowProgress,
        deadline: Deadline | None = None,
    ):
        self.statuses, self.finished_before = statuses, finished_before
        self.show_progress, self.deadline = show, deadline
        self.budget, self.updated = MAX_DISPLAY_SECONDS, time.monotonic()

    def show(self) -> None:
        self.show_progress(self.statuses, self.finished_before)

    def update(self) -> None:
        """Shows the progress if the budget allows; raises DeadlineReached near the deadline."""
        began = time.monotonic()
        saved = self.budget + MAX_DISPLAY_SHARE * (began - self.updated)
        self.budget, self.updated = min(saved, MAX_DISPLAY_SECONDS), began
        if self.budget > 0:
            if self.deadline:
                self.deadline.observe(self.statuses)
            self.show()
            self.budget -= time.monotonic() - began
        if self.deadline:
            self.deadline.check()


def execute_shown_jobs(
    folder: Path, display: ProgressDisplay, limits: LimitsConfig, executor: Executor
) -> None:
    """Runs the jobs of a display, and shows their progress there and to `ganbench watch`."""
    display.show()
    if not display.statuses:
        return
    with announce_run(folder, len(display.statuses)):
        try:
            execute_jobs(display.statuses, limits, executor, display.update)
        finally:
            display.show()


def execute_jobs(
    statuses: list[JobStatus], limits: LimitsConfig, executor: Executor, on_progress: OnProgress
) -> None:
    """Runs jobs under a suite's time limits."""
    seconds = TrialLimits(parse_seconds(limits.wall), parse_seconds(limits.stall))
    executor.run(statuses, seconds, on_progress)
    for status in statuses:
        if status.state in TRAINED_OUTCOMES and not status.job.folder.result_path.exists():
            status.state, status.reason = "failed", DELETED


def pending_jobs(
    trials: Collection[Trial], metrics: Iterable[str], protocol: str, store: Store
) -> tuple[list[JobStatus], int]:
    """Returns the unfinished jobs, and the number of finished trials."""
    jobs = [Job(trial, tuple(metrics), store.root, protocol) for trial in trials]
    left = [job for job in jobs if not is_finished(job.trial, job.folder, job.metrics, protocol)]
    return list(map(make_status, left)), len(trials) - len(left)


def make_statuses(trials: Iterable[Trial], suite: Suite, store: Store) -> list[JobStatus]:
    metrics = tuple(suite.metrics)
    return [make_status(Job(trial, metrics, store.root, suite.protocol)) for trial in trials]


def make_status(job: Job) -> JobStatus:
    """Returns the status of a job of this run, with the protocol whose values trackers log."""
    evaluator = evaluator_for(job.trial.data, job.trial.device, job.protocol)
    return JobStatus(job, protocol=evaluator.protocol.id)
