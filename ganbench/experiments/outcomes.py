"""Outcomes of planned trials (done, diverged, failed, ...), read from the store alone."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from ganbench.files import read_json_or_none

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
    paths = {name: folder.scores_path(protocol, name) for name in CHECKPOINT_NAMES}
    return {name: current_readings(plan, read_json_or_none(path)) for name, path in paths.items()}


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
    end = read_json_or_none(last[0].exit_path) if last else None
    return ("failed", end["reason"]) if end and end["outcome"] == "failed" else (None, "")


@dataclass(frozen=True)
class PlanStatus:
    """The number of trials of a plan by outcome, and the reasons of bad ends by trial."""

    outcomes: dict[str, int]
    reasons: dict[str, str]

    @property
    def trials(self) -> int:
        return sum(self.outcomes.values())


def read_plan_status(plan: dict[str, Any], store: Store) -> PlanStatus:
    """Reads the state of every trial of a plan."""
    counts: Counter[str] = Counter()
    reasons = {}
    for item in distinct_items(plan):
        outcome, reason = read_outcome(plan, item, store)
        counts[outcome or "not run"] += 1
        if outcome in ("failed", "diverged"):
            cell = " / ".join(filter(None, (item[key] for key in CELL_NAME_FIELDS)))
            reasons[f"{cell} / seed {item['seed']}"] = reason
    return PlanStatus(dict(counts.most_common()), reasons)


def distinct_items(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns each trial once, although untrained references belong to several cells."""
    keys = ("trial", "seed", "variant", "loss", "tricks")
    return list({tuple(item[key] for key in keys): item for item in plan["trials"]}.values())


def read_outcome(
    plan: dict[str, Any], item: dict[str, Any], store: Store
) -> tuple[str | None, str]:
    folder = store.trial_folder(item["trial"])
    result = None if item["objection"] else read_json_or_none(folder.result_path)
    complete = are_complete(plan, readings_by_checkpoint(plan, folder, item["protocol"]))
    return trial_outcome(item, folder, result, complete)
