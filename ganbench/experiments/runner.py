"""Runs a suite: finished trials are kept, the others are trained and measured."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ganbench.devices import Numerics
from ganbench.evaluation.evaluator import yardstick
from ganbench.evaluation.scores_file import add_readings, unmeasured
from ganbench.experiments.executors.base import Executor, Job, Limits, Status, Watch
from ganbench.experiments.monitoring.trial_progress import Sight
from ganbench.experiments.monitoring.watch import announced
from ganbench.files import read_json, write_json

from .plan import Planned, planned, record
from .run_trial import is_finished
from .store import Store
from .suite import Suite, SuiteError, seconds
from .trial import Trial

Stale = Literal["ask", "reuse", "rerun"]
Show = Callable[[Sequence[Sight], int], None]  # jobs, and how many trials were finished before


@dataclass(frozen=True)
class Ran:
    """The outcome of a run: every job's status, and where its plan lies."""

    folder: Path  # of the suite: plan.json is in it, and tables go there
    statuses: list[Status]
    finished_before: int
    seconds: float
    replaced: bool = False  # were there tables of another plan of this name?


@dataclass(frozen=True)
class PreparedRun:
    """A suite whose plan is written and whose floors are measured: only trials are left to run."""

    suite: Suite
    folder: Path
    statuses: list[Status]
    finished_before: int
    replaced: bool
    began: float

    def execute(self, executor: Executor, show: Show) -> Ran:
        """Runs what is left. Raises KeyboardInterrupt after Ctrl-C, when checkpoints are written."""
        show(self.statuses, self.finished_before)
        if self.statuses:
            with announced(self.folder, len(self.statuses)):
                execute_jobs(
                    self.statuses,
                    self.suite,
                    executor,
                    lambda: show(self.statuses, self.finished_before),
                )
        seconds = time.monotonic() - self.began
        return Ran(self.folder, self.statuses, self.finished_before, seconds, self.replaced)


def prepare_run(
    suite: Suite, profile: str, device: str, results: Path, stale: Stale = "ask"
) -> PreparedRun:
    """Plans a suite, writes its plan.json and measures its floors.

    Raises SuiteError if no cell can be trained, or if results of other code are there and nothing
    was said of them.
    """
    began, store, folder = time.monotonic(), Store(results), results / suite.name
    Numerics(device).apply()
    plan = planned(suite, profile, device)
    refuse_nothing(plan)
    settle_stale(plan, store, stale)
    content = record(suite, profile, device, plan)
    replaced = is_other(read_json(folder / "plan.json"), content)
    write_json(folder / "plan.json", content)
    statuses, finished_before = work(plan, suite, store)
    return PreparedRun(suite, folder, statuses, finished_before, replaced, began)


def run(
    suite: Suite,
    profile: str,
    device: str,
    results: Path,
    executor: Executor,
    show: Show,
    stale: Stale = "ask",
) -> Ran:
    """Trains and measures a suite; its tables are `ganbench.report.writer.write_report`'s to write.

    Raises what `prepare_run` and `PreparedRun.execute` raise.
    """
    return prepare_run(suite, profile, device, results, stale).execute(executor, show)


def work(plan: list[Planned], suite: Suite, store: Store) -> tuple[list[Status], int]:
    """What is left to train and measure, and how many trials are finished. Floors are measured at once."""
    metrics = tuple(suite.metrics)
    measure_floors(((p.trial.data, p.trial.device) for p in plan), metrics, suite.protocol, store)
    trials = {p.trial.id: p.trial for p in plan if not p.objection}
    done = {i for i, t in trials.items() if is_finished(t, store.trial(i), metrics, suite.protocol)}
    left = [t for i, t in trials.items() if i not in done]
    return [Status(Job(t, metrics, store.root, suite.protocol)) for t in left], len(done)


def execute_jobs(
    statuses: list[Status], suite: Suite, executor: Executor, on_progress: Watch
) -> None:
    """Runs jobs under the suite's limits."""
    limits = Limits(seconds(suite.limits.wall), seconds(suite.limits.stall))
    executor.run(statuses, limits, on_progress)


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
