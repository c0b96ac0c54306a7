"""Trains a suite for a gate: with a block of seeds that no baseline has, in a store of its own."""

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ganbench.analysis.compare import trainings_by_cell
from ganbench.analysis.rows import collect_rows
from ganbench.devices import Numerics
from ganbench.experiments.executors.base import Executor, JobStatus
from ganbench.experiments.plan import PlannedTrial, plan_record, plan_trials
from ganbench.experiments.runner import (
    ShowProgress,
    apply_stale_policy,
    execute_jobs,
    pending_jobs,
    refuse_empty_plan,
)
from ganbench.experiments.store import Store
from ganbench.experiments.suite import GateConfig, Suite, SuiteError
from ganbench.files import write_json

from .baseline import (
    Baseline,
    CellRecord,
    Floor,
    Sung,
    conditions,
    facts,
    made,
    remembered,
    versions_differ,
)
from .hypothesis_tests import FEWEST, Trainings
from .loss_trace import Song, song
from .verdict import LEAST_RATIO, Side

BASELINES_FROM = 1_000_000  # seeds from here on are those of baselines


@dataclass(frozen=True)
class Course:
    """A suite's cells with a block of seeds on a machine: what is trained for a gate or a baseline."""

    suite: Suite
    profile: str
    device: str
    plan: list[PlannedTrial]  # without the untrained references, which no gate asks for

    @classmethod
    def of(cls, suite: Suite, profile: str, device: str, seeds: list[int]) -> "Course":
        """Raises SuiteError if no cell has a meaning."""
        budget = suite.budget[profile].model_copy(update={"seeds": None})
        changes = {"seeds": seeds, "budget": {**suite.budget, profile: budget}}
        own = suite.model_copy(update=changes)
        plan = [p for p in plan_trials(own, profile, device) if p.role == "trial"]
        refuse_empty_plan(plan)
        return cls(own, profile, device, plan)

    @property
    def seeds(self) -> list[int]:
        return self.suite.seeds_of(self.profile)

    @property
    def cells(self) -> dict[str, PlannedTrial]:
        """Those that have a meaning, by name, each with its first seed."""
        return {p.label(): p for p in reversed(self.plan) if not p.incompatibility}

    @property
    def budget(self) -> str:
        spent = self.suite.budget[self.profile].budget()
        return f"{spent.amount:,} {spent.unit.replace('_', ' ')}"

    def protocols(self) -> dict[str, dict[str, Any]]:
        told: dict[str, dict[str, Any]] = self.record()["protocols"]
        return told

    def record(self) -> dict[str, Any]:
        return plan_record(self.suite, self.profile, self.device, self.plan)


def declared(suite: Suite) -> GateConfig:
    """What a suite says of its gate; raises SuiteError if it says nothing."""
    if suite.gate is None:
        told = "it declares none: add [gate] with margins = { fid = 0.25 }"
        raise SuiteError(f"suite {suite.name} has no gate, since {told}")
    return suite.gate


def seeds_of_block(suite: Suite, profile: str, number: int) -> list[int]:
    """The seeds of a gate's block: block 0 are the suite's, block 1 as many after them."""
    first = suite.seeds_of(profile)
    width = max(first) - min(first) + 1
    found = [seed + number * width for seed in first]
    if found[-1] >= BASELINES_FROM:
        raise SuiteError(
            f"seeds from {BASELINES_FROM:,} on are a baseline's: take an earlier block"
        )
    return found


def seeds_of_baseline(suite: Suite, profile: str) -> list[int]:
    """A block that no gate reaches, of LEAST_RATIO times as many at the least."""
    wanted, least = declared(suite).reference, LEAST_RATIO * len(suite.seeds_of(profile))
    if wanted < least:
        few = f"gate.reference is {wanted}, and must be {LEAST_RATIO} times the seeds: {least}"
        raise SuiteError(f"suite {suite.name}: {few}")
    return list(range(BASELINES_FROM, BASELINES_FROM + wanted))


def refusals(course: Course, baseline: Baseline) -> list[str]:
    """Why this baseline does not speak of what would be trained, in sentences; none if it does."""
    found = list(differences(course, baseline))
    here, there = course.cells, baseline.cells
    found += [f"{cell}: not in the baseline" for cell in here if cell not in there]
    found += [
        f"{cell}: in the baseline, and not in the suite" for cell in there if cell not in here
    ]
    told = course.protocols()
    for cell, item in here.items():
        now = item.record(course.suite.protocol)["protocol"]
        if cell in there and there[cell].protocol != now:
            before = baseline.protocols.get(there[cell].protocol, there[cell].protocol)
            found.append(f"{cell}: measured by {before}, and now by {told[now]['text']}")
    return list(dict.fromkeys(found))


def differences(course: Course, baseline: Baseline) -> Iterable[str]:
    """What differs for all cells."""
    if baseline.kind != "suite":
        yield f"it is a baseline of images against {baseline.name}, and not of a suite"
        return
    for what, before, now in (
        ("suite", baseline.name, course.suite.name),
        ("device", baseline.device, course.device),
        ("budget", baseline.budget, course.budget),
    ):
        if before != now:
            yield f"its {what} is {before}, and this one's is {now}"
    if common := set(baseline.seeds) & set(course.seeds):
        yield f"it was trained with some of the same seeds: {sorted(common)[:3]}"
    if baseline.count() < LEAST_RATIO * len(course.seeds):
        yield (
            f"it has {baseline.count()} trainings of a cell, and {LEAST_RATIO} are needed "
            f"for each of the {len(course.seeds)} seeds"
        )
    if len(course.seeds) < FEWEST:
        yield f"a test needs {FEWEST} seeds, and this suite has {len(course.seeds)}"
    yield from versions_differ(baseline, declared(course.suite).margins)


def trained(
    course: Course, results: Path, executor: Executor, show: ShowProgress
) -> tuple[Side, list[JobStatus]]:
    """Trains and measures what the store lacks, and sings the canaries.

    Raises SuiteError if trainings by other code are there, KeyboardInterrupt after Ctrl-C.
    """
    Numerics(course.device).apply()
    store, told = Store(results), course.record()
    apply_stale_policy(course.plan, store, "ask")
    write_json(results / course.suite.name / "plan.json", told)
    statuses, finished = pending_jobs(course.plan, course.suite, store)
    show(statuses, finished)
    execute_jobs(statuses, course.suite, executor, lambda: show(statuses, finished))
    frame = collect_rows(told, store)
    ends = by_cell(frame)
    side = Side(ends, floors(frame), songs(course, ends), conditions(course.device))
    return side, statuses


def songs(course: Course, cells: Iterable[str]) -> dict[str, Song]:
    """The canaries of these cells; of one that crashes there is none."""
    metrics, found = tuple(declared(course.suite).margins), {}
    for cell in cells:
        with suppress(Exception):  # its trainings crash too, and tell why
            found[cell] = song(course.cells[cell].trial, metrics, course.suite.protocol)
    return found


def by_cell(frame: pd.DataFrame) -> dict[str, Trainings]:
    """How the trainings of each cell ended, from a suite's rows; what crashed did not end."""
    found: dict[str, dict[str, Any]] = {}
    for metric in frame.attrs["plan"]["metrics"]:
        for names, side in trainings_by_cell(frame, metric).items():
            ends = Counter(training.outcome for training in side.values())
            if ends["done"] + ends["diverged"]:
                cell = found.setdefault(" / ".join(filter(None, names)), {"values": {}})
                cell |= {"ended": ends["done"] + ends["diverged"], "failed": ends["diverged"]}
                cell["values"][metric] = [side[seed].value_or_none() for seed in sorted(side)]
    return {name: Trainings(**facts) for name, facts in found.items()}


def floors(frame: pd.DataFrame) -> dict[str, dict[str, Floor]]:
    """What held-out data score, by data set and metric."""
    found: dict[str, dict[str, Floor]] = {}
    known = frame[frame["role"].eq("floor") & frame["value"].notna()]
    for row in known[["data", "metric", "value", "standard_error"]].to_dict("records"):
        error = None if pd.isna(row["standard_error"]) else float(row["standard_error"])
        floor = Floor(value=float(row["value"]), error=error)
        found.setdefault(str(row["data"]), {})[str(row["metric"])] = floor
    return found


def baseline(
    course: Course, side: Side, gate: int, reason: str, before: Baseline | None = None
) -> Baseline:
    """What was trained, for gates of so many seeds; the one before it is remembered by its means."""
    metrics = {metric: facts(metric) for metric in course.suite.metrics}
    protocol = {c: p.record(course.suite.protocol)["protocol"] for c, p in course.cells.items()}
    cells = {
        cell: CellRecord(protocol=protocol[cell], ended=t.ended, failed=t.failed, values=t.values)
        for cell, t in side.trainings.items()
    }
    sung = {cell: Sung(losses=s.losses, scores=s.scores) for cell, s in side.songs.items()}
    return Baseline(
        kind="suite",
        name=course.suite.name,
        made=made(reason, course.device),
        device=course.device,
        budget=course.budget,
        seeds=course.seeds,
        margins=declared(course.suite).margins,
        gate=gate,
        metrics=metrics,
        protocols={p: facts["text"] for p, facts in course.protocols().items()},
        cells=cells,
        floors={data: dict(found) for data, found in side.floors.items()},
        canary=sung,
        earlier=remembered(before),
    )
