"""Trains a suite for a gate, in a separate store, with seeds that no baseline has."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ganbench.analysis.matched_cells import trainings_by_cell
from ganbench.analysis.rows import collect_rows
from ganbench.counts import count_of
from ganbench.devices import Numerics
from ganbench.experiments.executors.base import Executor, JobStatus
from ganbench.experiments.floors import measure_floors_of_plan
from ganbench.experiments.plan import PlannedTrial, plan_record, plan_trials
from ganbench.experiments.plan_names import join_names
from ganbench.experiments.prepared_run import (
    ProgressDisplay,
    ShowProgress,
    execute_shown_jobs,
    pending_jobs,
)
from ganbench.experiments.runner import refuse_empty_plan
from ganbench.experiments.stale_results import refuse_stale_results
from ganbench.experiments.store import Store, write_plan
from ganbench.experiments.suite import GateConfig, Suite
from ganbench.experiments.suite_errors import SuiteError
from ganbench.registry import explain_error

from .baseline import (
    Baseline,
    CellRecord,
    FloorRecord,
    LossTraceRecord,
    digit_conditions,
    list_version_differences,
    make_provenance,
    metric_facts_record,
    previous_baselines,
    protocol_fields_of,
)
from .hypothesis_tests import MIN_TRAININGS_PER_TEST, CellTrainings
from .loss_trace import LossTrace, record_trace
from .verdict import MIN_BASELINE_RATIO, MeasuredSide

FIRST_BASELINE_SEED = 1_000_000  # baselines use the seeds from here on


@dataclass(frozen=True)
class GateRun:
    """The trainings of a gate or a baseline: a suite's cells with a block of seeds."""

    suite: Suite
    profile: str
    device: str
    plan: list[PlannedTrial]  # without the untrained references, which gates do not need

    @classmethod
    def of(cls, suite: Suite, profile: str, device: str, seeds: list[int]) -> "GateRun":
        """Plans the trainings; raises SuiteError if every cell is incompatible."""
        budget = suite.budget[profile].model_copy(update={"seeds": None})
        changes = {"seeds": seeds, "budget": {**suite.budget, profile: budget}}
        gate_suite = suite.model_copy(update=changes)
        plan = [p for p in plan_trials(gate_suite, profile, device) if p.role == "trial"]
        refuse_empty_plan(plan)
        return cls(gate_suite, profile, device, plan)

    @property
    def seeds(self) -> list[int]:
        return self.suite.seeds_of(self.profile)

    @property
    def first_trials(self) -> dict[str, PlannedTrial]:
        """The first trial of each compatible cell, keyed by the cell's label."""
        return {p.label(): p for p in reversed(self.plan) if not p.incompatibility}

    @property
    def budget(self) -> str:
        spent = self.suite.budget[self.profile].budget()
        return f"{spent.amount:,} {spent.unit.replace('_', ' ')}"

    @cached_property
    def plan_content(self) -> dict[str, Any]:
        return plan_record(self.suite, self.profile, self.device, self.plan)


def declared_gate(suite: Suite) -> GateConfig:
    """Returns the gate settings of a suite; raises SuiteError without a [gate] table."""
    if suite.gate is None:
        advice = "add [gate] with margins = { fid = 0.25 }"
        raise SuiteError(f"suite {suite.name} has no gate: {advice}")
    return suite.gate


def seeds_of_block(suite: Suite, profile: str, number: int) -> list[int]:
    """Returns the seeds of a block. Block 0 has the suite's seeds; later blocks are shifted.

    Raises SuiteError if the block reaches the seeds of baselines.
    """
    first = suite.seeds_of(profile)
    width = max(first) - min(first) + 1
    seeds = [seed + number * width for seed in first]
    if seeds[-1] >= FIRST_BASELINE_SEED:
        raise SuiteError(
            f"seeds from {FIRST_BASELINE_SEED:,} on belong to baselines: use an earlier block"
        )
    return seeds


def seeds_of_baseline(suite: Suite, profile: str) -> list[int]:
    """Returns the seeds of a baseline, which no gate uses.

    Raises SuiteError for too few seeds, or fewer than MIN_BASELINE_RATIO times the suite's seeds.
    """
    seeds = len(suite.seeds_of(profile))
    if seeds < MIN_TRAININGS_PER_TEST:
        few = f"a gate needs at least {MIN_TRAININGS_PER_TEST} seeds, but there are {seeds}"
        raise SuiteError(f"suite {suite.name}: {few}")
    wanted = declared_gate(suite).reference
    least = MIN_BASELINE_RATIO * seeds
    if wanted < least:
        few = f"gate.reference is {wanted}, but must be at least {MIN_BASELINE_RATIO} times the seeds: {least}"
        raise SuiteError(f"suite {suite.name}: {few}")
    return list(range(FIRST_BASELINE_SEED, FIRST_BASELINE_SEED + wanted))


def training_refusals(gate_run: GateRun, baseline: Baseline) -> list[str]:
    """Returns the reasons why the run and the baseline are not comparable; empty if they are."""
    if baseline.kind != "suite":
        return [f"the baseline is one of images against {baseline.name}, not of a suite"]
    reasons = list(setting_differences(gate_run, baseline))
    own_cells, baseline_cells = gate_run.first_trials, baseline.cells
    reasons += [f"{cell}: not in the baseline" for cell in own_cells if cell not in baseline_cells]
    reasons += [
        f"{cell}: in the baseline, but not in the suite"
        for cell in baseline_cells
        if cell not in own_cells
    ]
    protocols = gate_run.plan_content["protocols"]
    for cell, item in own_cells.items():
        now = item.record(gate_run.suite.protocol)["protocol"]
        if cell in baseline_cells and baseline_cells[cell].protocol != now:
            change = baseline.describe_protocol_change(
                baseline_cells[cell].protocol, protocols[now]
            )
            reasons.append(f"{cell}: {change}")
    return list(dict.fromkeys(reasons))


def setting_differences(gate_run: GateRun, baseline: Baseline) -> Iterable[str]:
    """Yields the differences of settings that affect all cells, as sentences."""
    for what, before, now in (
        ("suite", baseline.name, gate_run.suite.name),
        ("device", baseline.device, gate_run.device),
        ("budget", baseline.budget, gate_run.budget),
    ):
        if before != now:
            yield f"the baseline's {what} is {before}, but that of this run is {now}"
    if common := set(baseline.seeds) & set(gate_run.seeds):
        yield f"the baseline was trained with some of the same seeds: {sorted(common)[:3]}"
    if baseline.smallest_count() < MIN_BASELINE_RATIO * len(gate_run.seeds):
        has = count_of(baseline.smallest_count(), "training")
        yield (
            f"the baseline has {has} of a cell, but {MIN_BASELINE_RATIO} are needed for each of the "
            f"{count_of(len(gate_run.seeds), 'seed')}"
        )
    if len(gate_run.seeds) < MIN_TRAININGS_PER_TEST:
        yield f"a test needs {MIN_TRAININGS_PER_TEST} seeds, but this suite has {len(gate_run.seeds)}"
    yield from list_version_differences(baseline, declared_gate(gate_run.suite).margins)


def train_gate_run(
    gate_run: GateRun, results: Path, executor: Executor, show: ShowProgress
) -> tuple[MeasuredSide, list[JobStatus]]:
    """Trains and measures the trials that the store lacks, and records the loss traces.

    Raises SuiteError if the store has trainings of other code, and KeyboardInterrupt after Ctrl-C.
    """
    Numerics(gate_run.device).apply()
    store, content = Store(results), gate_run.plan_content
    refuse_stale_results(gate_run.plan, store)
    write_plan(results / gate_run.suite.name, content)
    measure_floors_of_plan(gate_run.plan, gate_run.suite, store)
    trials = {p.trial.id: p.trial for p in gate_run.plan if not p.incompatibility}.values()
    statuses, finished = pending_jobs(
        trials, gate_run.suite.metrics, gate_run.suite.protocol, store
    )
    display = ProgressDisplay(statuses, finished, show)
    execute_shown_jobs(results / gate_run.suite.name, display, gate_run.suite.limits, executor)
    frame = collect_rows(content, store)
    ends = trainings_of_frame(frame)
    traces, untraced = record_traces(gate_run, ends)
    conditions = digit_conditions(gate_run.device)
    return MeasuredSide(ends, floors_of_frame(frame), traces, untraced, conditions), statuses


def record_traces(
    gate_run: GateRun, cells: Iterable[str]
) -> tuple[dict[str, LossTrace], dict[str, str]]:
    """Returns the loss traces of cells, and the errors of cells that have none."""
    metrics, protocol = tuple(declared_gate(gate_run.suite).margins), gate_run.suite.protocol
    traces, untraced = dict[str, LossTrace](), dict[str, str]()
    for cell in cells:
        try:
            traces[cell] = record_trace(gate_run.first_trials[cell].trial, metrics, protocol)
        except Exception as error:  # a trick of a user may raise any
            untraced[cell] = explain_error(error)
    return traces, untraced


def trainings_of_frame(frame: pd.DataFrame) -> dict[str, CellTrainings]:
    """Returns the trainings of each cell from a suite's rows, without the crashed ones."""
    cells: dict[str, dict[str, Any]] = {}
    for metric in frame.attrs["plan"]["metrics"]:
        for names, side in trainings_by_cell(frame, metric).items():
            ends = Counter(training.outcome for training in side.values())
            if ends["done"] + ends["diverged"]:
                cell = cells.setdefault(join_names(names), {"values": {}})
                cell |= {"ended": ends["done"] + ends["diverged"], "failed": ends["diverged"]}
                cell["values"][metric] = [side[seed].value_or_none() for seed in sorted(side)]
    return {name: CellTrainings(**facts) for name, facts in cells.items()}


def floors_of_frame(frame: pd.DataFrame) -> dict[str, dict[str, FloorRecord]]:
    """Returns the floors by data set and metric."""
    floors: dict[str, dict[str, FloorRecord]] = {}
    floor_rows = frame[frame["role"].eq("floor") & frame["value"].notna()]
    for row in floor_rows[["data", "metric", "value", "standard_error"]].to_dict("records"):
        error = None if pd.isna(row["standard_error"]) else float(row["standard_error"])
        floor = FloorRecord(value=float(row["value"]), error=error)
        floors.setdefault(str(row["data"]), {})[str(row["metric"])] = floor
    return floors


def make_suite_baseline(
    gate_run: GateRun, side: MeasuredSide, gate: int, reason: str, before: Baseline | None = None
) -> Baseline:
    """Returns a baseline of these trainings, for gates with `gate` seeds.

    It keeps the means of the previous baseline.
    """
    suite, protocols = gate_run.suite, gate_run.plan_content["protocols"]
    return Baseline(
        kind="suite",
        name=suite.name,
        made=make_provenance(reason, gate_run.device),
        device=gate_run.device,
        budget=gate_run.budget,
        seeds=gate_run.seeds,
        margins=declared_gate(suite).margins,
        gate=gate,
        metrics={metric: metric_facts_record(metric) for metric in suite.metrics},
        protocols={name: facts["text"] for name, facts in protocols.items()},
        protocol_fields={name: protocol_fields_of(facts) for name, facts in protocols.items()},
        cells=make_cell_records(gate_run, side.trainings),
        floors={data: dict(floors) for data, floors in side.floors.items()},
        canary=make_trace_records(side.traces),
        earlier=previous_baselines(before),
    )


def make_cell_records(
    gate_run: GateRun, trainings: Mapping[str, CellTrainings]
) -> dict[str, CellRecord]:
    first, rules = gate_run.first_trials, gate_run.suite.protocol
    protocols = {cell: first[cell].record(rules)["protocol"] for cell in trainings}
    return {
        cell: CellRecord(protocol=protocols[cell], ended=t.ended, failed=t.failed, values=t.values)
        for cell, t in trainings.items()
    }


def make_trace_records(traces: Mapping[str, LossTrace]) -> dict[str, LossTraceRecord]:
    return {
        cell: LossTraceRecord(losses=trace.losses, scores=trace.scores)
        for cell, trace in traces.items()
    }
