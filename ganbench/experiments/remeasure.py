"""Measures saved generators again, by more metrics or by another protocol."""

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganbench.devices import Numerics
from ganbench.evaluation.evaluator import evaluator_for
from ganbench.evaluation.protocols.base import DEFAULT_PROTOCOL
from ganbench.experiments.executors.base import Executor
from ganbench.files import hash_json
from ganbench.local_files import bind_stored_files

from .floors import measure_floors
from .keep_sources import copy_stored_files
from .outcome_check import require_sources
from .outcomes import check_trial_files
from .plan import metric_facts, tasks_by_data
from .plan_names import protocols_of_run
from .prepared_run import (
    ProgressDisplay,
    RunResult,
    ShowProgress,
    execute_shown_jobs,
    pending_jobs,
)
from .store import SOURCES_FOLDER, Store, read_plan, write_plan
from .suite import MAX_NAME, LimitsConfig
from .suite_errors import SuiteError
from .trial import Trial, read_trial


@dataclass(frozen=True)
class MeasureRequest:
    """The protocol and the additional metrics of a measurement; empty means as in the run."""

    protocol: str = ""
    metrics: tuple[str, ...] = ()


def remeasure(
    folder: Path, request: MeasureRequest, executor: Executor, show: ShowProgress
) -> RunResult:
    """Measures a run's trials again and writes the new plan.

    Another protocol gets a folder of its own beside the run's folder. Raises SuiteError if the folder
    has no run with a store or another name, or if the data have changed since the training.
    """
    began = time.monotonic()
    Numerics().apply()
    plan, store = read_plan(folder), Store(folder.parent)
    if plan is None or not (folder.parent / "trials").exists():
        raise SuiteError(f"{folder} has no run with saved generators to measure")
    refuse_renamed_folder(folder, plan["suite"])
    bind_stored_files(plan.get("sources", {}), folder / SOURCES_FOLDER)
    store.sweep(folder, {item["trial"] for item in plan["trials"]})
    check_trial_files(plan, store)  # raises CorruptFile before anything is measured
    trials = trained_trials(plan, store)
    content = requested_plan(plan, trials, request)
    metrics, protocol = tuple(content["metrics"]), content["protocol"]
    measure_floors(((t.data, t.device) for t in trials), metrics, protocol, store)
    statuses, finished_before = pending_jobs(trials, metrics, protocol, store)
    limits = LimitsConfig.model_validate(plan.get("limits", {}))  # none before release 0.2
    display = ProgressDisplay(statuses, finished_before, show)
    execute_shown_jobs(folder, display, limits, executor)
    target = folder.parent / content["suite"]
    copy_stored_files(content.get("sources", {}).values(), folder, target)
    write_plan(target, content)
    return RunResult(target, content, statuses, finished_before, time.monotonic() - began)


def refuse_renamed_folder(folder: Path, suite: str) -> None:
    """Raises SuiteError for a folder of another name, such as a copy of an old plan.

    The new plan would replace the current one of the suite.
    """
    if Path(os.path.abspath(folder)).name != suite:  # links keep their own name
        raise SuiteError(f"{folder} has the plan of {suite}: rename the folder to {suite}")


def trained_trials(plan: dict[str, Any], store: Store) -> list[Trial]:
    """Returns the plan's trials that finished training; raises SuiteError if there is none."""
    trials = [read_trial(store, t["trial"]) for t in plan["trials"] if is_trained(store, t)]
    if not trials:
        raise SuiteError(f"no trial of {plan['suite']} is trained yet: run it first")
    for trial in trials:
        if evaluator_for(trial.data, trial.device).fingerprint != trial.fingerprint:
            raise SuiteError(f"{trial.data_name} has changed since the trials were trained on it")
    return trials


def is_trained(store: Store, item: dict[str, Any]) -> bool:
    result = None if item["objection"] else store.trial_folder(item["trial"]).read_result()
    return result is not None and result["outcome"] == "done"


def requested_plan(
    plan: dict[str, Any], trials: list[Trial], request: MeasureRequest
) -> dict[str, Any]:
    """Returns the plan of a run that was measured as requested from the start."""
    own = plan.get("protocol", DEFAULT_PROTOCOL)
    protocol = request.protocol or own
    require_sources(tasks_by_data((t.data, t.recipe) for t in trials), trials[0].device, protocol)
    metrics = tuple(dict.fromkeys((*plan["metrics"], *request.metrics)))
    requested = {**plan, "metrics": dict(map(metric_facts, metrics))}
    if protocol != own:
        requested |= plan_under_protocol(plan, trials, protocol)
    return with_measurement(requested, plan, request)


def plan_under_protocol(plan: dict[str, Any], trials: list[Trial], protocol: str) -> dict[str, Any]:
    """Returns the entries of a plan that differ under another protocol.

    It has the trials of data sets with a trained trial: others may not be on this machine.
    """
    protocols = {t.data_name: evaluator_for(t.data, t.device, protocol).protocol for t in trials}
    return {
        "suite": name_of_measured_suite(plan["suite"], protocol),
        "protocol": protocol,
        "protocols": {p.id: p.record() for p in protocols.values()},
        "trials": [
            {**t, "protocol": protocols[t["data"]].id}
            for t in plan["trials"]
            if t["data"] in protocols
        ],
    }


def with_measurement(
    requested: dict[str, Any], plan: dict[str, Any], request: MeasureRequest
) -> dict[str, Any]:
    """Returns a plan that names its measurements, for the command that repeats them.

    It keeps the protocols of the run, which are those of its learning curves.
    """
    if request == MeasureRequest():
        return requested
    before = plan.get("measured", {"suite": plan["suite"], "metrics": [], "protocol": ""})
    return requested | {
        "run_protocols": protocols_of_run(plan),
        "measured": {
            "suite": before["suite"],
            "metrics": list(dict.fromkeys([*before["metrics"], *request.metrics])),
            "protocol": request.protocol or before["protocol"],
        },
    }


def name_of_measured_suite(suite: str, protocol: str) -> str:
    """Returns a suite's name with the protocol, in the characters and length of a folder name.

    A hash takes the place of a long protocol.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", protocol.lower()).strip("-")
    name = f"{suite}-{slug}"
    return name if len(name) <= MAX_NAME else f"{suite}-{hash_json(protocol, 12)}"
