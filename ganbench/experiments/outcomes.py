"""Outcomes of planned trials (done, diverged, failed, ...), read from the store alone."""

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ganbench.files import read_each

from .monitoring.trial_progress import format_trial_label
from .plan_names import LOST_OUTCOMES, TRAINED_OUTCOMES, short_id
from .running_trials import RunningTrial, read_running_trial
from .store import CHECKPOINT_NAMES, Store, TrialFolder


def current_readings(plan: dict[str, Any], content: Any) -> dict[str, Any]:
    """Returns the readings of a file that have the metric versions of the plan."""
    readings = dict((content or {"metrics": {}})["metrics"])
    wanted = {metric: facts.get("version") for metric, facts in plan["metrics"].items()}
    return {m: r for m, r in readings.items() if wanted.get(m) in (None, r["version"])}


def readings_by_checkpoint(
    plan: dict[str, Any], folder: TrialFolder, protocol: str
) -> dict[str, dict[str, Any]]:
    """Returns a trial's readings by metric, for each checkpoint."""
    contents = {name: folder.read_scores(protocol, name) for name in CHECKPOINT_NAMES}
    return {name: current_readings(plan, content) for name, content in contents.items()}


@dataclass(frozen=True)
class TrialFiles:
    """The files of a planned trial that tables and states are made from."""

    result: dict[str, Any] | None
    curve: dict[str, Any] | None
    readings: dict[str, dict[str, Any]]
    outcome: str | None  # None if the trial has not been trained and measured yet
    reason: str


def read_trial_files(plan: dict[str, Any], item: dict[str, Any], store: Store) -> TrialFiles:
    """Reads the files of a planned trial; raises CorruptFile if one is damaged."""
    folder = store.trial_folder(item["trial"])
    result = None if item["objection"] else folder.read_result()
    curve = folder.read_curve() if result else None
    if result:
        folder.read_spec()
    readings = readings_by_checkpoint(plan, folder, item["protocol"])
    outcome, reason = trial_outcome(item, folder, result, are_complete(plan, readings))
    return TrialFiles(result, curve, readings, outcome, reason)


@dataclass(frozen=True)
class TrialSummary:
    """The outcome of a trial, None if it is not finished, and the code that trained it."""

    outcome: str | None = None
    provenance: dict[str, Any] | None = None
    has_failed: bool = False  # without a result; a retry may have been interrupted since

    @property
    def is_finished(self) -> bool:
        return self.outcome in TRAINED_OUTCOMES


def read_floors(plan: dict[str, Any], store: Store) -> dict[str, dict[str, Any]]:
    """Returns the readings of the floors by protocol and metric; raises CorruptFile."""
    contents = read_each(partial(store.read_floor, protocol) for protocol in plan["protocols"])
    return {p: current_readings(plan, c) for p, c in zip(plan["protocols"], contents, strict=True)}


def are_complete(plan: dict[str, Any], readings: dict[str, dict[str, Any]]) -> bool:
    """Returns whether every checkpoint has every metric of the plan."""
    return all(plan["metrics"].keys() <= by_metric.keys() for by_metric in readings.values())


def trial_outcome(
    item: dict[str, Any], folder: TrialFolder, result: dict[str, Any] | None, complete: bool
) -> tuple[str | None, str]:
    """Returns a planned trial's outcome and reason.

    The outcome is None if the trial has not been trained and measured yet.
    """
    if item["objection"]:
        return "not_applicable", item["objection"]
    if result and (complete or result["outcome"] != "done"):
        return result["outcome"], result["reason"]
    last = folder.attempts()[-1:]
    end = last[0].read_end() if last else None
    return ("failed", end["reason"]) if end and end["outcome"] == "failed" else (None, "")


@dataclass(frozen=True)
class TrialState:
    """The state of a planned trial: an outcome, or how far it is."""

    state: str  # an outcome, or `running`, `trained`, `started`, `not run`
    reason: str = ""
    running: RunningTrial | None = None


@dataclass(frozen=True)
class PlanStatus:
    """The number of trials of a plan by state, and the reasons of bad ends by trial.

    `trials` counts those of incompatible cells too, which are not applicable.
    """

    outcomes: dict[str, int]
    reasons: dict[str, str]
    running: dict[str, RunningTrial] = field(default_factory=dict)

    @property
    def trials(self) -> int:
        return sum(self.outcomes.values())


def read_plan_status(plan: dict[str, Any], store: Store) -> PlanStatus:
    """Reads the state of every trial of a plan from as few files as possible.

    Raises CorruptFile for damaged ones of them.
    """
    items, begun = distinct_items(plan), store.trial_names()
    read_floors(plan, store)
    states = read_each(partial(read_trial_state, plan, item, store, begun) for item in items)
    counts = Counter(state.state for state in states)
    named = [(format_trial_label(i, i["role"]), s) for i, s in zip(items, states, strict=True)]
    return PlanStatus(
        dict(counts.most_common()),
        {label: state.reason for label, state in named if state.state in LOST_OUTCOMES},
        {label: state.running for label, state in named if state.running},
    )


def read_trial_state(
    plan: dict[str, Any], item: dict[str, Any], store: Store, begun: set[str] | None = None
) -> TrialState:
    """Returns the state of a planned trial; `begun` has the names of all trial folders."""
    folder = store.trial_folder(item["trial"])
    if begun is not None and folder.folder.name not in begun and not item["objection"]:
        return TrialState("not run")
    result = None if item["objection"] else folder.read_result()
    complete = result is not None and are_complete(
        plan, readings_by_checkpoint(plan, folder, item["protocol"])
    )
    outcome, reason = trial_outcome(item, folder, result, complete)
    if outcome is not None and outcome != "failed":
        return TrialState(outcome, reason)
    if running := read_running_trial(folder):
        return TrialState("running", running=running)
    return TrialState(outcome or unfinished_state(folder), reason)


def check_trial_files(plan: dict[str, Any], store: Store) -> dict[str, TrialSummary]:
    """Returns a summary of every trial that can be trained, by its id.

    Reads all files of the trials; raises CorruptFile, with their names, if some are damaged.
    """
    read_floors(plan, store)
    items = {item["trial"]: item for item in plan["trials"] if not item["objection"]}
    begun = store.trial_names()
    known = [item for item in items.values() if short_id(item["trial"]) in begun]
    read = read_each(partial(read_trial_summary, plan, item, store) for item in known)
    summaries = {item["trial"]: summary for item, summary in zip(known, read, strict=True)}
    return {trial: summaries.get(trial, TrialSummary()) for trial in items}


def read_trial_summary(plan: dict[str, Any], item: dict[str, Any], store: Store) -> TrialSummary:
    files = read_trial_files(plan, item, store)
    result = files.result or {}
    folder = store.trial_folder(item["trial"])
    has_failed = files.outcome == "failed" or (not result and failed_before_interruptions(folder))
    return TrialSummary(files.outcome, result.get("provenance"), has_failed)


def failed_before_interruptions(folder: TrialFolder) -> bool:
    """Returns whether the last attempt failed, apart from interrupted and killed retries."""
    ends = (attempt.read_end() for attempt in reversed(folder.attempts()))
    outcomes = (end["outcome"] for end in ends if end is not None)
    return next((o for o in outcomes if o != "interrupted"), "") == "failed"


def unfinished_state(folder: TrialFolder) -> str:
    """Returns `trained` (without all values), `started` (with a checkpoint) or `not run`."""
    if folder.result_path.is_file():
        return "trained"
    return "started" if folder.checkpoint_path.is_file() else "not run"


def distinct_items(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the items of a plan without repeats; a trial of two cells is there for each."""
    keys = ("trial", "seed", "variant", "loss", "tricks")
    return list({tuple(item[key] for key in keys): item for item in plan["trials"]}.values())
