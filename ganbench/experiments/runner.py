"""Runs a suite: keeps finished trials, and trains and measures the others."""

import time
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
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

from .deadline import Deadline
from .first_step import try_first_steps
from .keep_sources import use_copies
from .outcomes import TrialSummary, check_trial_files
from .plan import PlannedTrial, plan_notes, plan_record, plan_trials
from .run_trial import is_finished
from .seed_rounds import SeedRounds
from .select_trials import TrialSelection, select_items, select_items_with_references
from .store import Store, read_plan
from .suite import LimitsConfig, Suite, SuiteError, parse_seconds
from .trial import Trial
from .trial_order import order_balanced

StalePolicy = Literal["ask", "reuse", "rerun"]
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
        display.show()
        if self.statuses:
            with announce_run(self.folder, len(self.statuses)):
                try:
                    execute_jobs(self.statuses, self.suite.limits, executor, display.update)
                finally:
                    display.show()
        return RunResult(
            self.folder,
            self.plan,
            self.statuses,
            self.finished_before,
            time.monotonic() - self.began,
            self.replaced,
            self.left_out,
            self.trained_before,
        )


class ProgressDisplay:
    """Shows the progress of a run as often as its share of the time allows.

    A view of many trials takes long, and executors call it after every event.
    """

    def __init__(
        self,
        statuses: Sequence[JobStatus],
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


def prepare_run(
    suite: Suite,
    profile: str,
    device: str,
    results: Path,
    stale: StalePolicy = "ask",
    selection: TrialSelection | None = None,
    rounds: SeedRounds | None = None,
    options: Sequence[str] = (),
) -> PreparedRun:
    """Plans a suite, writes its plan.json and measures its floors.

    With `rounds`, the plan has the seeds that adaptive seeds have reached. The plan keeps the `options` of
    the command, so that others can name the command that continues it. Raises SuiteError if no cell can
    be trained, or if the store has results of other code and `stale` is "ask". Raises NoSuchTrial if the
    selection matches no trial, and PluginError if a first step with own parts fails.
    """
    began, store, folder = time.monotonic(), Store(results), results / suite.name
    Numerics(device).apply()
    plan = plan_trials(suite, profile, device, rounds)
    refuse_empty_plan(plan)
    sources = use_copies(folder)
    content = plan_record(suite, profile, device, plan, rounds)
    content |= {"sources": sources} if sources else {}
    content |= {"options": list(options)} if options else {}
    replaced = is_other_plan(read_plan(folder), content)
    known = check_trial_files(content, store)  # raises CorruptFile before anything is trained
    provenance = {trial: summary.provenance for trial, summary in known.items()}
    stale_trials = apply_stale_policy(plan, store, stale, provenance)
    known |= {trial.id: TrialSummary() for trial in stale_trials if stale == "rerun"}
    selection = selection or TrialSelection()
    chosen = choose_trials(content, known, selection)
    jobs = jobs_of_selection(plan, known, chosen, selection)
    try_first_steps(jobs)
    store.sweep(folder, known)
    write_json(folder / "plan.json", content)
    if selection.from_scratch:
        delete_results(jobs, store)
    measure_floors_of_plan(plan, suite, store)
    finished = {trial for trial, summary in known.items() if summary.is_finished}
    return PreparedRun(
        suite,
        folder,
        content,
        make_statuses(jobs, suite, store),
        len(finished - {job.id for job in jobs}),
        replaced,
        began,
        plan_notes(plan, suite),
        left_out=len(known.keys() - finished - {job.id for job in jobs}),
        trained_before=sum(store.trial_folder(job.id).result_path.exists() for job in jobs),
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


def choose_trials(
    plan: dict[str, Any], known: dict[str, TrialSummary], selection: TrialSelection
) -> set[str]:
    """Returns the ids of the trials that a run may train, before the limit.

    Untrained references of chosen cells are trained with them, but not from scratch.
    """
    items = [item for item in plan["trials"] if item["trial"] in known]
    if selection.words:
        select = select_items if selection.from_scratch else select_items_with_references
        items = select(items, selection.words, plan["suite"])
    ids = {item["trial"] for item in items}
    return {i for i in ids if known[i].outcome == "failed"} if selection.retry else ids


def jobs_of_selection(
    plan: list[PlannedTrial],
    known: dict[str, TrialSummary],
    chosen: set[str],
    selection: TrialSelection,
) -> list[Trial]:
    """Returns the trials that a run trains, in balanced order."""
    trials = {item.trial.id: item.trial for item in plan if item.trial.id in known}
    wanted = [
        trial
        for trial in order_balanced(trials.values())
        if trial.id in chosen and (selection.from_scratch or not known[trial.id].is_finished)
    ]
    return wanted[: selection.limit]


def delete_results(trials: Iterable[Trial], store: Store) -> None:
    """Deletes results and checkpoints of trials; raises Busy if one is being run."""
    begun = store.trial_names()
    for trial in trials:
        folder = store.trial_folder(trial.id)
        if folder.folder.name in begun:
            folder.delete_results()


def select_unfinished(trials: Iterable[Trial], plan: dict[str, Any], store: Store) -> list[Trial]:
    """Returns the trials that a run would train or measure; raises CorruptFile.

    `plan` is the content of a plan.json with these trials.
    """
    known = check_trial_files(plan, store)
    return [trial for trial in trials if not known[trial.id].is_finished]


def pending_jobs(
    trials: Collection[Trial], metrics: Iterable[str], protocol: str, store: Store
) -> tuple[list[JobStatus], int]:
    """Returns the unfinished jobs, and the number of finished trials."""
    jobs = [Job(trial, tuple(metrics), store.root, protocol) for trial in trials]
    left = [job for job in jobs if not is_finished(job.trial, job.folder, job.metrics, protocol)]
    return list(map(JobStatus, left)), len(trials) - len(left)


def make_statuses(trials: Iterable[Trial], suite: Suite, store: Store) -> list[JobStatus]:
    metrics = tuple(suite.metrics)
    return [JobStatus(Job(trial, metrics, store.root, suite.protocol)) for trial in trials]


def execute_jobs(
    statuses: list[JobStatus], limits: LimitsConfig, executor: Executor, on_progress: OnProgress
) -> None:
    """Runs jobs under a suite's time limits."""
    seconds = TrialLimits(parse_seconds(limits.wall), parse_seconds(limits.stall))
    executor.run(statuses, seconds, on_progress)
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


def measure_floors_of_plan(plan: list[PlannedTrial], suite: Suite, store: Store) -> None:
    sets = ((item.trial.data, item.trial.device) for item in plan)
    measure_floors(sets, tuple(suite.metrics), suite.protocol, store)


def apply_stale_policy(
    plan: list[PlannedTrial],
    store: Store,
    stale: StalePolicy,
    provenance: dict[str, dict[str, Any] | None] | None = None,
) -> list[Trial]:
    """Keeps ("reuse") or deletes ("rerun") results of other code; returns their trials.

    `provenance` has the code of each result by trial, if it is known. Raises SuiteError if there are
    such results and the policy is "ask".
    """
    if provenance is None:
        provenance = {p.trial.id: read_provenance(store, p.trial.id) for p in plan}
    distinct = {p.trial.id: p.trial for p in plan}.values()
    codes: dict[Hashable, dict[str, str]] = {}  # of cells: their seeds have one code
    stale_trials = [t for t in distinct if is_stale(t, provenance.get(t.id), codes)]
    if stale_trials and stale == "ask":
        raise SuiteError(
            f"{count_of(len(stale_trials), 'finished trial')} trained by other code (or another torch). "
            "Nothing was changed: choose --stale reuse to keep them, or --stale rerun to train them again"
        )
    if stale == "rerun":
        delete_results(stale_trials, store)
    return stale_trials


def read_provenance(store: Store, trial: str) -> dict[str, Any] | None:
    result = store.trial_folder(trial).read_result()
    return result["provenance"] if result else None


def is_stale(
    trial: Trial, provenance: dict[str, Any] | None, codes: dict[Hashable, dict[str, str]]
) -> bool:
    """Returns whether other code than the current one trained a trial that has a result."""
    if provenance is None:
        return False
    cell = (trial.recipe, trial.data, trial.numerics_spec)
    now = codes[cell] if cell in codes else codes.setdefault(cell, trial.code_provenance())
    return {key: provenance[key] for key in now} != now
