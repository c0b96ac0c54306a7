"""Measures once more what was trained: by further metrics or another protocol, from the samplers kept."""

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .analysis.rows import rows
from .executors import inline, local
from .executors.base import Job, Limits, Status
from .planned import facts
from .report.files import write
from .run import Ran, Show, measure_floors
from .store import Store, read_json, write_json
from .suite import Limits as SuiteLimits
from .suite import SuiteError, seconds
from .trial import Trial, is_finished, read_trial, settle
from .yardstick import DEFAULT, yardstick


@dataclass(frozen=True)
class Request:
    """What is to be measured, and how; nothing named means what the run itself was measured by."""

    protocol: str = ""
    metrics: tuple[str, ...] = ()


def remeasure(folder: Path, request: Request, workers: int, show: Show) -> Ran:
    """Measures a run's trials and writes tables: beside the old ones if the protocol is another.

    Raises SuiteError if the folder holds no run with a store, or data have changed since.
    """
    began = time.monotonic()
    settle()
    plan, store = read_json(folder / "plan.json"), Store(folder.parent)
    if plan is None or not (folder.parent / "trials").exists():
        raise SuiteError(f"{folder} holds no run with samplers that could be measured")
    trials = trained(plan, store)
    told = requested(plan, trials, request)
    metrics, protocol = tuple(told["metrics"]), told["protocol"]
    target = folder.parent / told["suite"]
    measure_floors(((t.data, t.device) for t in trials), metrics, protocol, store)
    done = [t for t in trials if is_finished(t, store.trial(t.id), metrics, protocol)]
    jobs = [Job(t, metrics, folder.parent, protocol) for t in trials if t not in done]
    statuses = list(map(Status, jobs))
    declared = SuiteLimits()
    limits = Limits(seconds(declared.wall), seconds(declared.stall))
    show(statuses, len(done))
    if statuses:
        execute = local.run if workers else inline.run
        execute(statuses, workers, limits, lambda: show(statuses, len(done)))
    write_json(target / "plan.json", told)
    frame = rows(told, store)
    return Ran(statuses, len(done), write(frame, target, store), frame, time.monotonic() - began)


def trained(plan: dict[str, Any], store: Store) -> list[Trial]:
    """The plan's trials whose training came to its end; raises SuiteError if there is none."""
    found = [read_trial(store, t["trial"]) for t in plan["trials"] if is_trained(store, t)]
    if not found:
        raise SuiteError(f"no trial of {plan['suite']} is trained yet: run it first")
    for trial in found:
        if yardstick(trial.data, trial.device).fingerprint != trial.fingerprint:
            raise SuiteError(f"{trial.data} is not what the trials were trained on: it has changed")
    return found


def is_trained(store: Store, item: dict[str, Any]) -> bool:
    result = None if item["objection"] else read_json(store.trial(item["trial"]).result)
    return result is not None and result["outcome"] == "done"


def requested(plan: dict[str, Any], trials: list[Trial], request: Request) -> dict[str, Any]:
    """The plan as it would be if the run had been measured so from the start."""
    own = plan.get("protocol", DEFAULT)
    protocol = request.protocol or own
    metrics = tuple(dict.fromkeys((*plan["metrics"], *request.metrics)))
    known = {t.data: yardstick(t.data, t.device, protocol).protocol for t in trials}
    suite = plan["suite"] if protocol == own else f"{plan['suite']}-{slug(protocol)}"
    return {
        **plan,
        "suite": suite,
        "protocol": protocol,
        "metrics": dict(map(facts, metrics)),
        "protocols": {p.id: p.record() for p in known.values()},
        "trials": [
            {**t, "protocol": known[t["data"]].id} for t in plan["trials"] if t["data"] in known
        ],
    }


def slug(protocol: str) -> str:
    """A protocol's spec as a part of a folder's name."""
    return re.sub(r"[^a-z0-9]+", "-", protocol.lower()).strip("-")
