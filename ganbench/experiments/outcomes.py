"""Outcomes of planned trials (done, diverged, failed, ...), read from the store alone."""

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

from ganbench.files import read_each

from .store import CHECKPOINT_NAMES, Store, TrialFolder

CELL_NAME_FIELDS = ("data", "variant", "loss", "tricks", "plan")


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


def read_floors(plan: dict[str, Any], store: Store) -> dict[str, dict[str, Any]]:
    """Returns the readings of the floors by protocol and metric; raises CorruptFile."""
    contents = read_each(partial(store.read_floor, protocol) for protocol in plan["protocols"])
    return {p: current_readings(plan, c) for p, c in zip(plan["protocols"], contents, strict=True)}


def read_all_trials(plan: dict[str, Any], store: Store, items: list[Any]) -> list[TrialFiles]:
    """Reads the files of trials; raises one CorruptFile that names the damaged files."""
    return read_each(partial(read_trial_files, plan, item, store) for item in items)


def are_complete(plan: dict[str, Any], readings: dict[str, dict[str, Any]]) -> bool:
    """Does every checkpoint have every metric of the plan?"""
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
class PlanStatus:
    """The number of trials of a plan by outcome, and the reasons of bad ends by trial.

    `trials` counts those of incompatible cells too, which are not applicable.
    """

    outcomes: dict[str, int]
    reasons: dict[str, str]

    @property
    def trials(self) -> int:
        return sum(self.outcomes.values())


def read_plan_status(plan: dict[str, Any], store: Store) -> PlanStatus:
    """Reads the state of every trial of a plan; raises CorruptFile for damaged files."""
    counts: Counter[str] = Counter()
    reasons, items = {}, distinct_items(plan)
    read_floors(plan, store)
    for item, files in zip(items, read_all_trials(plan, store, items), strict=True):
        counts[files.outcome or unfinished_state(store.trial_folder(item["trial"]))] += 1
        if files.outcome in ("failed", "diverged"):
            cell = " / ".join(filter(None, (item[key] for key in CELL_NAME_FIELDS)))
            reasons[f"{cell} / seed {item['seed']}"] = files.reason
    return PlanStatus(dict(counts.most_common()), reasons)


def unfinished_state(folder: TrialFolder) -> str:
    """Returns `trained` (without all values), `started` (with a checkpoint) or `not run`."""
    if folder.result_path.is_file():
        return "trained"
    return "started" if folder.checkpoint_path.is_file() else "not run"


def distinct_items(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns each trial once, although untrained references belong to several cells."""
    keys = ("trial", "seed", "variant", "loss", "tricks")
    return list({tuple(item[key] for key in keys): item for item in plan["trials"]}.values())
