"""Measures cells of a suite with the modules of one revision: `measure_suite.py ORDER`.

The work `trace` records the canary of each cell, and `train` trains each cell with one seed.
"""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

import ganbench
from ganbench.devices import Numerics
from ganbench.experiments.plan import PlannedTrial, plan_record, plan_trials
from ganbench.experiments.run_trial import run_trial
from ganbench.experiments.store import Store
from ganbench.experiments.suite import Suite
from ganbench.experiments.suite_loader import load_suite

Order = dict[str, Any]


def require_own_modules(order: Order) -> None:
    """Ends the process if ganbench was imported from another tree than the measured one."""
    home = str(Path(ganbench.__file__).resolve().parents[1])
    if order["home"] and home != order["home"]:
        sys.exit(f"ganbench was imported from {home}, not from {order['home']}")


def read_suite_of_seed(order: Order) -> Suite:
    """Returns the suite with one seed in every budget."""
    if order["trust"]:
        from ganbench.local_files import trust_local_files

        trust_local_files()
    suite = load_suite(Path(order["suite"]))
    budget = suite.budget[order["profile"]].model_copy(update={"seeds": None})
    changes = {"seeds": [order["seed"]], "budget": {**suite.budget, order["profile"]: budget}}
    return suite.model_copy(update=changes)


def plan_cells(order: Order, suite: Suite) -> list[PlannedTrial]:
    """Returns the trials of the wanted cells; ends the process if one cannot be trained."""
    planned = plan_trials(suite, order["profile"], order["device"])
    trials = {p.label(): p for p in planned if p.role == "trial"}
    for cell in order["cells"]:
        if cell not in trials:
            sys.exit(f"it has no cell {cell}")
        if trials[cell].incompatibility:
            sys.exit(f"{cell}: {trials[cell].incompatibility}")
    return [trials[cell] for cell in order["cells"]]


def record_canaries(order: Order, suite: Suite, cells: list[PlannedTrial]) -> dict[str, Any]:
    """Returns the losses and scores of the first steps, by cell and place."""
    record_trace = import_module("loss_trace").record_trace  # a copy beside this file
    numbers: dict[str, float | None] = {}
    for cell in cells:
        trace = record_trace(cell.trial, (order["metric"],), suite.protocol)
        prefix = f"{cell.label()}: " if len(cells) > 1 else ""
        numbers |= {prefix + place: value for place, value in trace.values_by_place().items()}
    return {"numbers": numbers}


def train_cells(order: Order, suite: Suite, cells: list[PlannedTrial]) -> dict[str, Any]:
    """Returns the metric of each cell after its whole budget; None for a failed training."""
    from ganbench.analysis.rows import collect_rows
    from ganbench.ci.quality.training_runs import trainings_of_frame

    store, metric = Store(Path(order["results"])), order["metric"]
    for cell in cells:
        outcome = run_trial(cell.trial, store, (metric,), lambda: False, suite.protocol)
        if outcome not in ("done", "diverged"):
            sys.exit(read_reason(store, cell) or f"{cell.label()}: {outcome}")
    content = plan_record(suite, order["profile"], order["device"], cells)
    trainings = trainings_of_frame(collect_rows(content, store))
    values = {name: own.values[metric][0] for name, own in trainings.items()}
    return {"values": {cell: values.get(cell) for cell in order["cells"]}}


def read_reason(store: Store, cell: PlannedTrial) -> str:
    """Returns the reason of the last attempt on a trial."""
    ends = sorted(store.trial_folder(cell.trial.id).folder.rglob("exit.json"))
    return str(json.loads(ends[-1].read_text("utf-8")).get("reason", "")) if ends else ""


def main() -> None:
    order: Order = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    require_own_modules(order)
    torch.set_num_threads(1)
    Numerics(order["device"]).apply()
    suite = read_suite_of_seed(order)
    work = {"trace": record_canaries, "train": train_cells}[order["work"]]
    answer = work(order, suite, plan_cells(order, suite))
    Path(order["answer"]).write_text(json.dumps(answer), "utf-8")


if __name__ == "__main__":
    main()
