"""Prepares the run of a suite: keeps finished trials, and names the others as jobs."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganbench.counts import count_of
from ganbench.devices import Numerics

from .first_step import try_first_steps
from .floors import measure_floors_of_plan
from .keep_sources import use_copies
from .outcomes import TrialSummary, check_trial_files
from .plan import PlannedTrial, plan_notes, plan_record, plan_trials
from .prepared_run import PreparedRun, make_statuses
from .seed_rounds import SeedRounds
from .select_trials import (
    NoSuchTrial,
    TrialSelection,
    names_an_id,
    select_items,
    select_items_with_references,
)
from .stale_results import StalePolicy, delete_results, find_trials_to_rerun
from .store import Store, read_plan, write_plan
from .suite import Suite
from .suite_errors import SuiteError
from .trial import Trial
from .trial_order import order_balanced


@dataclass(frozen=True)
class RunRequest:
    """A suite with its device and results folder, and the trials that a run selects."""

    suite: Suite
    profile: str
    device: str
    results: Path
    stale: StalePolicy = "ask"
    selection: TrialSelection = field(default_factory=TrialSelection)
    options: Sequence[str] = ()  # of the command, so that others can name the one that continues it
    suite_hash: str = ""  # of the suite file, see `hash_suite_file`

    @property
    def folder(self) -> Path:
        return self.results / self.suite.name


def prepare_run(request: RunRequest, rounds: SeedRounds | None = None) -> PreparedRun:
    """Plans a suite, writes its plan.json and measures its floors.

    With `rounds`, the plan has the seeds that adaptive seeds have reached. Raises SuiteError if no cell
    can be trained, or if the store has results of other code and `stale` is "ask". Raises NoSuchTrial if
    the selection matches no trial, and PluginError if a first step with own parts fails.
    """
    began, store, suite = time.monotonic(), Store(request.results), request.suite
    Numerics(request.device).apply()
    plan = plan_trials(suite, request.profile, request.device, rounds)
    refuse_empty_plan(plan)
    content = run_record(request, plan, rounds)
    old = read_plan(request.folder)
    known, stale = trials_in_store(request, plan, content, store)
    chosen = choose_trials(content, known, request.selection)
    jobs = jobs_of_selection(plan, known, chosen, request.selection)
    try_first_steps(jobs)
    store.sweep(request.folder, known)
    write_plan(request.folder, content)
    from_scratch = request.selection.from_scratch
    delete_results([job for job in jobs if from_scratch or job.id in stale], store)
    measure_floors_of_plan(plan, suite, store)
    others = known.keys() - {job.id for job in jobs}
    finished = {trial for trial in others if known[trial].is_finished}
    return PreparedRun(
        suite=suite,
        folder=request.folder,
        plan=content,
        statuses=make_statuses(jobs, suite, store),
        finished_before=len(finished),
        replaced=is_other_plan(old, content),
        began=began,
        notes=[
            *plan_notes(plan, suite),
            *changed_outcome_notes(old, content),
            *kept_stale_notes(stale, jobs),
        ],
        left_out=len(others - finished),
        trained_before=sum(store.trial_folder(job.id).result_path.exists() for job in jobs),
    )


def run_record(
    request: RunRequest, plan: list[PlannedTrial], rounds: SeedRounds | None
) -> dict[str, Any]:
    """Returns the content of plan.json, with copied sources and options if there are any."""
    sources = use_copies(request.folder)
    content = plan_record(request.suite, request.profile, request.device, plan, rounds)
    content |= {"sources": sources} if sources else {}
    content |= {"suite_hash": request.suite_hash} if request.suite_hash else {}
    return content | ({"options": list(request.options)} if request.options else {})


def trials_in_store(
    request: RunRequest, plan: list[PlannedTrial], content: dict[str, Any], store: Store
) -> tuple[dict[str, TrialSummary], set[str]]:
    """Returns what the store has of each trial, and the ids whose results are of other code.

    The latter count as not finished. Raises CorruptFile and SuiteError, before anything is changed.
    """
    known = check_trial_files(content, store)
    provenance = {trial: summary.provenance for trial, summary in known.items()}
    stale = find_trials_to_rerun(plan, store, request.stale, provenance)
    return known | {trial: TrialSummary() for trial in stale}, stale


def kept_stale_notes(stale: set[str], jobs: Sequence[Trial]) -> list[str]:
    """Returns a note on results of other code that this run does not train again."""
    kept = len(stale - {job.id for job in jobs})
    return (
        [f"{count_of(kept, 'result')} of other code stay: this run selects others"] if kept else []
    )


def choose_trials(
    plan: dict[str, Any], known: dict[str, TrialSummary], selection: TrialSelection
) -> set[str]:
    """Returns the ids of the trials that a run may train, before the limit.

    Untrained references of chosen cells are trained with them, but not from scratch.
    """
    items = [item for item in plan["trials"] if item["trial"] in known]
    if selection.words:
        select = select_items if selection.from_scratch else select_items_with_references
        try:
            items = select(items, selection.words, plan["suite"])
        except NoSuchTrial as error:
            note = note_on_rounds(plan) if names_an_id(selection.words) else ""
            raise NoSuchTrial(f"{error}{note}") from None
    ids = {item["trial"] for item in items}
    return {i for i in ids if known[i].has_failed} if selection.retry else ids


def note_on_rounds(plan: dict[str, Any]) -> str:
    """Returns the remedy for a trial of a later round of adaptive seeds, or an empty text."""
    looks = plan.get("adaptive")
    if not looks or looks["over"]:
        return ""
    return (
        f"; seeds after the first {looks['rounds'][looks['taken']]} are not planned yet: in another --results, "
        f"--seeds {looks['rounds'][-1]} plans all seeds of every arm"
    )


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


def select_unfinished(trials: Iterable[Trial], plan: dict[str, Any], store: Store) -> list[Trial]:
    """Returns the trials that a run would train or measure; raises CorruptFile.

    `plan` is the content of a plan.json with these trials.
    """
    known = check_trial_files(plan, store)
    return [trial for trial in trials if not known[trial.id].is_finished]


def refuse_empty_plan(plan: list[PlannedTrial]) -> None:
    """Raises SuiteError, with the reasons, if every trial is incompatible."""
    if any(not item.incompatibility for item in plan):
        return
    reasons = dict.fromkeys(f"{item.label()}: {item.incompatibility}" for item in plan)
    raise SuiteError("\n".join(["every cell of this suite is incompatible:", *reasons]))


def is_other_plan(old: dict[str, Any] | None, new: dict[str, Any]) -> bool:
    """Returns whether the new plan has another analysis, or lacks old trials or metrics."""
    if old is None:
        return False
    trials = [{item["trial"] for item in plan["trials"]} for plan in (old, new)]
    is_extended = trials[0] <= trials[1] and old["metrics"].keys() <= new["metrics"].keys()
    return not is_extended or old["analysis"] != new["analysis"]


def changed_outcome_notes(old: dict[str, Any] | None, new: dict[str, Any]) -> list[str]:
    """Returns a note if the tables so far have another outcome, which may be known by now."""
    if old is None or old["analysis"]["outcome"] == new["analysis"]["outcome"]:
        return []
    before, now = (plan["analysis"]["outcome"] for plan in (old, new))
    return [
        f"the outcome was {before} before, and is {now} now: effects hold if it was chosen unseen"
    ]
