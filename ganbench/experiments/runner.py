"""Runs a suite: keeps finished trials, and trains and measures the others."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ganbench.counts import count_of
from ganbench.devices import Numerics
from ganbench.evaluation.evaluator import evaluator_for
from ganbench.evaluation.scores_file import add_readings, unmeasured_metrics
from ganbench.experiments.executors.base import Executor, Job, JobStatus, OnProgress, TrialLimits
from ganbench.experiments.monitoring.trial_progress import TrialProgress
from ganbench.experiments.monitoring.watch import announce_run
from ganbench.files import write_json

from .outcomes import read_plan_status
from .plan import PlannedTrial, plan_notes, plan_record, plan_trials
from .run_trial import is_finished
from .store import Store, read_plan
from .suite import Suite, SuiteError, parse_seconds
from .trial import Trial

StalePolicy = Literal["ask", "reuse", "rerun"]
ShowProgress = Callable[
    [Sequence[TrialProgress], int], None
]  # pending jobs, number of trials that were finished before the run

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

    def execute(self, executor: Executor, show: ShowProgress) -> RunResult:
        """Runs the pending jobs.

        After Ctrl-C, raises KeyboardInterrupt once the checkpoints are written.
        """
        show(self.statuses, self.finished_before)
        if self.statuses:
            with announce_run(self.folder, len(self.statuses)):
                execute_jobs(
                    self.statuses,
                    self.suite,
                    executor,
                    lambda: show(self.statuses, self.finished_before),
                )
        return RunResult(
            self.folder,
            self.plan,
            self.statuses,
            self.finished_before,
            time.monotonic() - self.began,
            self.replaced,
        )


def prepare_run(
    suite: Suite, profile: str, device: str, results: Path, stale: StalePolicy = "ask"
) -> PreparedRun:
    """Plans a suite, writes its plan.json and measures its floors.

    Raises SuiteError if no cell can be trained, or if the store has results of other code and `stale`
    is "ask".
    """
    began, store, folder = time.monotonic(), Store(results), results / suite.name
    Numerics(device).apply()
    plan = plan_trials(suite, profile, device)
    refuse_empty_plan(plan)
    apply_stale_policy(plan, store, stale)
    content = plan_record(suite, profile, device, plan)
    replaced = is_other_plan(read_plan(folder), content)
    store.sweep(folder, {p.trial.id for p in plan})
    read_plan_status(content, store)  # raises CorruptFile before anything is trained
    write_json(folder / "plan.json", content)
    statuses, finished_before = pending_jobs(plan, suite, store)
    return PreparedRun(
        suite, folder, content, statuses, finished_before, replaced, began, plan_notes(plan, suite)
    )


def run(
    suite: Suite,
    profile: str,
    device: str,
    results: Path,
    executor: Executor,
    show: ShowProgress,
    stale: StalePolicy = "ask",
) -> RunResult:
    """Trains and measures a suite. `ganbench.report.writer.write_report` writes its tables.

    Raises the errors of `prepare_run` and `PreparedRun.execute`.
    """
    return prepare_run(suite, profile, device, results, stale).execute(executor, show)


def pending_jobs(
    plan: list[PlannedTrial], suite: Suite, store: Store
) -> tuple[list[JobStatus], int]:
    """Returns the unfinished jobs, and the number of finished trials.

    Measures the floors immediately.
    """
    metrics = tuple(suite.metrics)
    measure_floors(((p.trial.data, p.trial.device) for p in plan), metrics, suite.protocol, store)
    trials = {p.trial.id: p.trial for p in plan if not p.incompatibility}
    done = {
        i
        for i, t in trials.items()
        if is_finished(t, store.trial_folder(i), metrics, suite.protocol)
    }
    left = [t for i, t in trials.items() if i not in done]
    return [JobStatus(Job(t, metrics, store.root, suite.protocol)) for t in left], len(done)


def execute_jobs(
    statuses: list[JobStatus], suite: Suite, executor: Executor, on_progress: OnProgress
) -> None:
    """Runs jobs under the suite's time limits."""
    limits = TrialLimits(parse_seconds(suite.limits.wall), parse_seconds(suite.limits.stall))
    executor.run(statuses, limits, on_progress)
    for status in statuses:
        if status.state in ("done", "diverged") and not status.job.folder.result_path.exists():
            status.state, status.reason = "failed", DELETED


def refuse_empty_plan(plan: list[PlannedTrial]) -> None:
    """Raises SuiteError, with the reasons, if every trial is incompatible."""
    if any(not item.incompatibility for item in plan):
        return
    reasons = dict.fromkeys(f"{item.label()}: {item.incompatibility}" for item in plan)
    raise SuiteError("\n".join(["every cell of this suite is incompatible:", *reasons]))


def is_other_plan(old: dict[str, Any] | None, new: dict[str, Any]) -> bool:
    """Returns whether the old plan has trials that the new one lacks."""
    if old is None:
        return False
    return not {t["trial"] for t in old["trials"]} <= {t["trial"] for t in new["trials"]}


def measure_floors(
    sets: Iterable[tuple[str, str]], metrics: tuple[str, ...], protocol: str, store: Store
) -> None:
    """Measures the floor of each data set and device, once per store."""
    for data, device in dict.fromkeys(sets):
        evaluator = evaluator_for(data, device, protocol)
        path = store.floor_path(evaluator.protocol.id)
        if missing := unmeasured_metrics(path, metrics):
            readings, expected = (
                evaluator.measure_floor(missing),
                evaluator.expected_floors(missing),
            )
            add_readings(path, evaluator.protocol, readings, expected)


def apply_stale_policy(plan: list[PlannedTrial], store: Store, stale: StalePolicy) -> None:
    """Keeps ("reuse") or deletes ("rerun") results of other code.

    Raises SuiteError if there are such results and the policy is "ask".
    """
    stale_trials = [
        p.trial for p in plan if is_stale(p.trial, store.trial_folder(p.trial.id).read_result())
    ]
    if stale_trials and stale == "ask":
        raise SuiteError(
            f"{count_of(len(stale_trials), 'finished trial')} trained by other code (or another torch). "
            "Nothing was changed: choose --stale reuse to keep them, or --stale rerun to train them again"
        )
    if stale == "rerun":
        for trial in stale_trials:
            store.trial_folder(trial.id).delete_results()


def is_stale(trial: Trial, result: dict[str, Any] | None) -> bool:
    now = trial.code_provenance()
    return result is not None and {k: result["provenance"][k] for k in now} != now
