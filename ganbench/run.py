"""Runs a suite: what is finished is kept, the rest is trained and measured, and the tables are written."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .analysis.rows import rows
from .executors import inline, local
from .executors.base import Job, Limits, Status, Watch
from .planned import Planned, planned, record
from .report.files import write
from .sight import Sight
from .store import Store, read_json, write_json
from .suite import Suite, SuiteError, seconds
from .trial import Trial, is_finished, settle
from .watch import announced
from .yardstick import add_readings, unmeasured, yardstick

Stale = Literal["ask", "reuse", "rerun"]
Show = Callable[[Sequence[Sight], int], None]  # jobs, and how many trials were finished before


@dataclass(frozen=True)
class Ran:
    """What a run came to."""

    statuses: list[Status]
    finished_before: int
    files: list[Path]
    frame: Any  # the rows, as a pandas frame
    seconds: float
    replaced: bool = False  # were there tables of another plan of this name?


def run(
    suite: Suite,
    profile: str,
    device: str,
    results: Path,
    workers: int,
    show: Show,
    stale: Stale = "ask",
) -> Ran:
    """Trains, measures and reports a suite. Raises SuiteError if no cell has a meaning, or results of other
    code are there and nothing was said of them, KeyboardInterrupt after Ctrl-C, when checkpoints are written."""
    began, store, folder = time.monotonic(), Store(results), results / suite.name
    settle()
    plan = planned(suite, profile, device)
    refuse_nothing(plan)
    settle_stale(plan, store, stale)
    told = record(suite, profile, device, plan)
    replaced = is_other(read_json(folder / "plan.json"), told)
    write_json(folder / "plan.json", told)
    statuses, finished = work(plan, suite, store)
    show(statuses, finished)
    try:
        if statuses:
            with announced(folder, len(statuses)):
                carry_out(statuses, suite, workers, lambda: show(statuses, finished))
    finally:
        frame = rows(told, store)
        files = write(frame, folder, store)
    return Ran(statuses, finished, files, frame, time.monotonic() - began, replaced)


def work(plan: list[Planned], suite: Suite, store: Store) -> tuple[list[Status], int]:
    """What is left to train and measure, and how many trials are finished. Floors are measured at once."""
    metrics = tuple(suite.metrics)
    measure_floors(((p.trial.data, p.trial.device) for p in plan), metrics, suite.protocol, store)
    trials = {p.trial.id: p.trial for p in plan if not p.objection}
    done = {i for i, t in trials.items() if is_finished(t, store.trial(i), metrics, suite.protocol)}
    left = [t for i, t in trials.items() if i not in done]
    return [Status(Job(t, metrics, store.root, suite.protocol)) for t in left], len(done)


def carry_out(statuses: list[Status], suite: Suite, workers: int, watch: Watch) -> None:
    """Runs these in so many worker processes, or in this one."""
    limits = Limits(seconds(suite.limits.wall), seconds(suite.limits.stall))
    execute = local.run if workers else inline.run
    execute(statuses, workers, limits, watch)


def refuse_nothing(plan: list[Planned]) -> None:
    """Raises SuiteError, with the reasons, if there is nothing that could be trained."""
    if any(not item.objection for item in plan):
        return
    reasons = dict.fromkeys(f"{item.label()}: {item.objection}" for item in plan)
    raise SuiteError("\n".join(["no cell of this suite has a meaning:", *reasons]))


def is_other(old: dict[str, Any] | None, new: dict[str, Any]) -> bool:
    """Was there another plan under this suite's name, with trials that this one has not?"""
    if old is None:
        return False
    return not {t["trial"] for t in old["trials"]} <= {t["trial"] for t in new["trials"]}


def measure_floors(
    sets: Iterable[tuple[str, str]], metrics: tuple[str, ...], protocol: str, store: Store
) -> None:
    """What a perfect generator would score on each data set and device, measured once a store."""
    for data, device in dict.fromkeys(sets):
        measured = yardstick(data, device, protocol)
        path = store.floor(measured.protocol.id)
        if missing := unmeasured(path, metrics):
            readings, expected = measured.floor(missing), measured.expected(missing)
            add_readings(path, measured.protocol, readings, expected)


def settle_stale(plan: list[Planned], store: Store, stale: Stale) -> None:
    """Results that other code made: keep them, make them again, or ask which."""
    found = [p.trial for p in plan if is_stale(p.trial, read_json(store.trial(p.trial.id).result))]
    if found and stale == "ask":
        raise SuiteError(
            f"{len(found)} finished trials were made by other code than this (or another torch): "
            "say --stale reuse to keep them, or --stale rerun to train them again"
        )
    if stale == "rerun":
        for trial in found:
            store.trial(trial.id).forget()


def is_stale(trial: Trial, result: dict[str, Any] | None) -> bool:
    now = trial.made_by()
    return result is not None and {k: result["provenance"][k] for k in now} != now
