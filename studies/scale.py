"""Large suites: seconds and memory of plan, status, scheduler and report, by number of trials.

    python studies/scale.py --out results/performance

Stores are synthetic: one trial is trained, and its files are copied for every planned trial. Each
measurement runs in a process of its own, and is kept, so that a stopped study goes on. Workers are
measured with real trainings, and only if asked, since they need a quiet machine.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ganbench.analysis.rows import collect_rows, save_rows
from ganbench.experiments.executors.base import Executor, JobStatus, OnProgress, TrialLimits
from ganbench.experiments.floors import measure_floors
from ganbench.experiments.plan import PlannedTrial, plan_record, plan_trials
from ganbench.experiments.run_trial import run_trial
from ganbench.experiments.store import Store, TrialFolder, read_plan
from ganbench.experiments.suite import Suite
from ganbench.experiments.suite_loader import load_suite
from ganbench.files import append_json_line, read_json, read_json_lines, write_bytes, write_json

PROGRAM = Path(sys.executable).with_name("ganbench")
SEEDS = 10
SUITE = """\
schema = 1
name = "scale"
data = ["ring", "digits"]
metrics = ["fid", "kid", "precision", "recall", "modes"]
seeds = {seeds}
points = 8
[[grid]]
variants = ["gan(width=8)", "gan(width=9)"]
losses = ["hinge", "non_saturating", "minimax", "least_squares", "wasserstein"]
plan = {{ generator_lr = {rates} }}
[grid.tricks]
design = "one_at_a_time"
of = ["label_smoothing", "feature_matching", "instance_noise", "ema"]
[budget.cpu]
generator_turns = 1500
"""
CELLS_PER_RATE = 2 * 2 * 5 * 5
WORKERS_SUITE = """\
schema = 1
name = "workers"
data = ["digits"]
metrics = ["fid"]
seeds = {seeds}
points = 2
[[grid]]
variants = ["gan"]
losses = ["hinge", "non_saturating"]
[budget.cpu]
generator_turns = 1500
"""


# Stores


def write_suite(folder: Path, trials: int) -> Suite:
    """Writes and loads a suite of about this many trials, at least 100 cells or one seed each."""
    seeds = SEEDS if trials >= SEEDS * CELLS_PER_RATE else 1
    count = max(1, trials // (seeds * CELLS_PER_RATE))
    rates = [round(1e-3 / (n + 1), 9) for n in range(count)]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "scale.toml"
    path.write_text(SUITE.format(seeds=seeds, rates=rates))
    return load_suite(path)


def make_store(root: Path, trials: int, finished: bool) -> Path:
    """Makes the store of a planned suite, and the files of its trials; returns the store."""
    results = root / f"{'finished' if finished else 'empty'}-{trials}"
    if (results / "ready").exists():
        return results
    shutil.rmtree(results, ignore_errors=True)
    suite = write_suite(results, trials)
    plan = plan_trials(suite, "cpu", "cpu")
    write_json(results / "scale" / "plan.json", plan_record(suite, "cpu", "cpu", plan))
    fill_store(root, results, suite, plan if finished else [])
    (results / "trials").mkdir(exist_ok=True)
    (results / "ready").touch()
    return results


def fill_store(root: Path, results: Path, suite: Suite, plan: Sequence[PlannedTrial]) -> None:
    """Copies the floors, and the files of a trained trial for each trial of the plan."""
    models = {data: train_model(root / "models", suite, data) for data in suite.data}
    shutil.copytree(root / "models" / "floors", results / "floors", dirs_exist_ok=True)
    for item in plan:
        if not item.incompatibility:
            copy_trial(models[item.trial.data], Store(results).trial_folder(item.trial.id), item)


def train_model(root: Path, suite: Suite, data: str) -> TrialFolder:
    """Trains one trial on a data set; returns its folder."""
    store = Store(root)
    trial = next(
        item.trial
        for item in plan_trials(suite, "cpu", "cpu")
        if item.role == "trial" and item.trial.data == data
    )
    measure_floors([(data, "cpu")], tuple(suite.metrics), suite.protocol, store)
    assert run_trial(trial, store, tuple(suite.metrics), lambda: False) == "done"
    return store.trial_folder(trial.id)


def copy_trial(model: TrialFolder, folder: TrialFolder, item: PlannedTrial) -> None:
    """Copies a trained trial under the identity of another one."""
    trial = item.trial
    spec = {"id": trial.id, "identity": trial.identity, "trial": trial.as_dict()}
    result = read_json(model.result_path) | {"id": trial.id}
    result["provenance"] |= trial.code_provenance()
    for path in (p for p in sorted(model.folder.rglob("*")) if p.is_file()):
        target = folder.folder / path.relative_to(model.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.parts[-2] != "leases" and path.name not in ("spec.json", "result.json", ".lock"):
            target.write_bytes(path.read_bytes())
    folder.spec_path.write_text(json.dumps(spec, indent=1, sort_keys=True))
    folder.result_path.write_text(json.dumps(result, indent=1, sort_keys=True))


# Measurements


@dataclass(frozen=True)
class Instant(Executor):
    """Ends each trial at once, by copying the files of a trained one."""

    model: str = ""

    def run(
        self, statuses: Sequence[JobStatus], limits: TrialLimits, on_progress: OnProgress
    ) -> None:
        content = read_json(Path(self.model))
        for status in statuses:
            status.state = "running"
            on_progress()
            path = status.job.folder.result_path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content | {"id": status.job.trial.id}))
            status.state = "done"
            on_progress()


def measure_plan(root: Path, trials: int) -> dict[str, Any]:
    began, cpu = time.perf_counter(), time.process_time()
    suite = write_suite(root / f"plan-{trials}", trials)
    plan = plan_trials(suite, "cpu", "cpu")
    record = plan_record(suite, "cpu", "cpu", plan)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {"trials": len(plan), "seconds": seconds, "cpu": cpu, "bytes": len(json.dumps(record))}


# Runs a command, and prints its resources. A process of its own without large imports, because a child
# counts the memory of its parent until it runs another program.
TIMER = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
run = subprocess.run(sys.argv[1:], capture_output=True, text=True)
seconds, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
if run.returncode:
    sys.exit(run.stderr)
first = (run.stdout.splitlines() or [""])[0].strip()
cpu = used.ru_utime + used.ru_stime
content = dict(seconds=seconds, cpu=cpu, megabytes=used.ru_maxrss / 1024, output=first)
print(json.dumps(content))
"""


def time_command(*arguments: object) -> dict[str, Any]:
    """Returns wall and CPU seconds and peak memory of a command of the program."""
    command = [sys.executable, "-c", TIMER, PROGRAM, *arguments]
    run = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(run.stderr[-3000:])
    content: dict[str, Any] = json.loads(run.stdout)
    return content


def measure_status(root: Path, trials: int, finished: bool) -> dict[str, Any]:
    results = make_store(root, trials, finished)
    return time_command("status", "scale", "--results", results)


def measure_report(root: Path, trials: int) -> dict[str, Any]:
    results = make_store(root, trials, finished=True)
    return time_command("report", "scale", "--results", results)


def measure_analysis(root: Path, trials: int) -> dict[str, Any]:
    """Measures the report from the table alone: no store, and no pictures of generators."""
    results = make_store(root, trials, finished=True)
    alone = root / f"table-{trials}" / "scale"
    shutil.rmtree(alone, ignore_errors=True)
    alone.mkdir(parents=True)
    content = read_plan(results / "scale")
    assert content
    save_rows(collect_rows(content, Store(results)), alone)
    size = (alone / "results.parquet").stat().st_size
    return time_command("report", alone) | {"bytes": size}


def measure_rerun(root: Path, trials: int) -> dict[str, Any]:
    """Measures the preparation of a run that has nothing left to train."""
    from ganbench.experiments.runner import RunRequest, prepare_run

    results = make_store(root, trials, finished=True)
    suite = load_suite(results / "scale.toml")
    began, cpu = time.perf_counter(), time.process_time()
    prepared = prepare_run(RunRequest(suite, "cpu", "cpu", results, stale="reuse"))
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    assert not prepared.statuses, prepared.statuses[:3]
    return {"seconds": seconds, "cpu": cpu, "kept": prepared.finished_before}


def measure_runner(root: Path, trials: int) -> dict[str, Any]:
    """Measures the runner and its progress display with trials that end at once."""
    from rich.console import Console

    from ganbench.cli.progress import RunProgress
    from ganbench.experiments.runner import RunRequest, prepare_run

    results, models = root / f"runner-{trials}", root / "models"
    shutil.rmtree(results, ignore_errors=True)
    suite = write_suite(results, trials)
    train_model(models, suite, "ring")
    shutil.copytree(models / "floors", results / "floors")
    model = next(models.glob("trials/*/*/result.json"))
    prepared = prepare_run(RunRequest(suite, "cpu", "cpu", results))
    began, cpu = time.perf_counter(), time.process_time()
    with open(os.devnull, "w") as nowhere:
        console = Console(file=nowhere, force_terminal=True, width=120)
        with RunProgress(console) as progress:
            prepared.execute(Instant(str(model)), progress.show)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    count = len(prepared.statuses)
    shutil.rmtree(results)
    return {"trials": count, "seconds": seconds, "cpu": cpu, "ms": 1e3 * cpu / count}


def measure_local(root: Path, trials: int) -> dict[str, Any]:
    """Measures the local executor with two workers and trials that are finished already."""
    from ganbench.experiments.executors.base import Job
    from ganbench.experiments.executors.local import Local

    results = make_store(root, trials, finished=True)
    suite = load_suite(results / "scale.toml")
    plan = plan_trials(suite, "cpu", "cpu")
    trials = [item.trial for item in plan if not item.incompatibility]
    jobs = [Job(trial, tuple(suite.metrics), results, suite.protocol) for trial in trials]
    statuses, times = list(map(JobStatus, jobs)), []
    cpu = time.process_time()
    Local(workers=2).run(statuses, TrialLimits(600, 600), lambda: times.append(time.perf_counter()))
    cpu = time.process_time() - cpu  # of the runner alone
    assert {status.state for status in statuses} == {"done"}
    seconds = times[-1] - times[0]
    return {"trials": len(jobs), "seconds": seconds, "cpu": cpu, "ms": 1e3 * cpu / len(jobs)}


def measure_workers(root: Path, seeds: int, workers: int) -> dict[str, Any]:
    """Measures a run of real trainings with so many workers, from start to end."""
    folder = root / f"workers-{workers}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "workers.toml").write_text(WORKERS_SUITE.format(seeds=seeds))
    load = os.getloadavg()[0]
    content = time_command(
        *("run", folder / "workers.toml", "--results", folder, "--workers", workers)
    )
    stamps = [
        event["time"]
        for path in folder.glob("trials/*/*/attempts/*/events.jsonl")
        for event in read_json_lines(path)
    ]
    return content | {"load": load, "training_seconds": max(stamps) - min(stamps)}


MEASUREMENTS: dict[str, Callable[..., dict[str, Any]]] = {
    function.__name__: function
    for function in (
        measure_plan,
        measure_status,
        measure_rerun,
        measure_runner,
        measure_local,
        measure_report,
        measure_analysis,
        measure_workers,
    )
}


def run_apart(name: str, *arguments: Any) -> dict[str, Any]:
    """Runs a measurement in a process of its own, with its peak memory."""
    call = json.dumps([name, *arguments], default=str)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, __file__, "--call", call], capture_output=True, text=True, env=environment
    )
    if run.returncode:
        raise RuntimeError(f"{name}: {run.stderr[-3000:]}")
    content: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return content


def answer_call(text: str) -> None:
    """Runs a measurement that another process of this study asked for, and prints JSON."""
    torch.set_num_threads(1)
    name, *arguments = json.loads(text)
    typed = [Path(a) if isinstance(a, str) and a.startswith("/") else a for a in arguments]
    content = MEASUREMENTS[name](*typed)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"megabytes": own} | content))


# Tables


def list_stages(arguments: argparse.Namespace) -> list[list[Any]]:
    """Returns all measurements as names with their arguments."""
    work = str(arguments.work.resolve())
    stages: list[list[Any]] = []
    for trials in arguments.plans:
        stages.append(["measure_plan", work, trials])
    for trials in arguments.stores:
        stages += [["measure_status", work, trials, f] for f in (False, True)]
        stages += [[name, work, trials] for name in ("measure_rerun", "measure_analysis")]
    for trials in arguments.reports:
        stages.append(["measure_report", work, trials])
    for trials in arguments.schedules:
        stages += [["measure_runner", work, trials], ["measure_local", work, trials]]
    if arguments.workers:
        stages += [["measure_workers", work, arguments.workers, count] for count in (1, 2)]
    return stages


@dataclass(frozen=True)
class Part:
    """A row of the table: a measurement, its quantity, and the words for both."""

    name: str
    stage: str
    quantity: str = "cpu"
    finished: bool | None = None  # of stores that `status` reads
    unit: str = "s"
    is_per_trial: bool = False  # then it does not grow with the number of trials


PARTS = (
    Part("plan a suite and check its cells", "measure_plan"),
    Part("`status`, no trial begun", "measure_status", finished=False),
    Part("`status`, all finished", "measure_status", finished=True),
    Part("`run` with nothing left to train, before its report", "measure_rerun"),
    Part("runner and its display, a trial", "measure_runner", "ms", None, "ms", True),
    Part("runner with 2 workers, a trial", "measure_local", "ms", None, "ms", True),
    Part("`report` from the store", "measure_report"),
    Part("`report` from the store, memory", "measure_report", "megabytes", unit="MB"),
    Part("`report` from the table alone", "measure_analysis"),
    Part("`report` from the table alone, memory", "measure_analysis", "megabytes", unit="MB"),
)
SIZES = (10**5, 10**6)  # to which the measurements are extrapolated


def render_table(rows: list[dict[str, Any]]) -> str:
    """Returns a Markdown table of the measurements, with straight lines to larger sizes."""
    lines = []
    for part in PARTS:
        chosen = [row for row in rows if is_row_of(row, part)]
        found = {count_of_row(row): row[part.quantity] for row in chosen}
        if not found:
            continue
        measured = [f"{count:,}: {format_quantity(v, part)}" for count, v in sorted(found.items())]
        later = ["", ""] if part.is_per_trial else [extrapolate(found, part, n) for n in SIZES]
        lines.append(f"| {part.name} | {', '.join(measured)} | {' | '.join(later)} |")
    return "\n".join([f"| part | {HEADS} |", "| --- | --- | --- | --- |", *lines, ""])


HEADS = "measured, by number of trials | 100,000, by a line | 1,000,000, by a line"


def is_row_of(row: dict[str, Any], part: Part) -> bool:
    name, _, _, *more = row["stage"]
    return bool(name == part.stage and (part.finished is None or more == [part.finished]))


def count_of_row(row: dict[str, Any]) -> int:
    return int(row.get("trials", row["stage"][2]))


def extrapolate(found: dict[int, float], part: Part, count: int) -> str:
    """Returns the value at a larger size, on the line through the two largest measurements."""
    (few, low), (many, high) = [(0, 0.0), *sorted(found.items())][-2:]
    return format_quantity(high + (high - low) / (many - few) * (count - many), part)


def format_quantity(value: float, part: Part) -> str:
    return f"{value:,.0f} {part.unit}" if value >= 100 else f"{value:.2g} {part.unit}"


PAGE = """\
# Large suites

`python studies/scale.py` wrote this page. Times are CPU seconds on one of two cores that other programs
shared, with torch's imports left out where they are not needed. Stores are synthetic: the files of a
real trial, copied for each planned one. [scale.json](scale.json) has wall times and all other values.

"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/performance"))
    parser.add_argument("--work", type=Path, default=Path("build/scale"))
    parser.add_argument("--plans", type=int, nargs="*", default=[1000, 5000, 20_000])
    parser.add_argument("--stores", type=int, nargs="*", default=[1000, 5000, 20_000])
    parser.add_argument("--reports", type=int, nargs="*", default=[1000, 5000])
    parser.add_argument("--schedules", type=int, nargs="*", default=[100, 1000, 10_000])
    parser.add_argument("--workers", type=int, default=0, help="seeds; 0: workers are not measured")
    parser.add_argument("--call", help="one measurement, as JSON")
    arguments = parser.parse_args()
    if arguments.call:
        return answer_call(arguments.call)
    rows = arguments.work / "rows.jsonl"
    for stage in list_stages(arguments):
        done = [row["stage"] for row in read_json_lines(rows)]
        if stage not in done:
            append_json_line(rows, stage=stage, **run_apart(*stage))
            print(read_json_lines(rows)[-1], flush=True)
    values = [
        {key: value for key, value in row.items() if key not in ("time", "output")}
        | {"stage": [row["stage"][0], "", *row["stage"][2:]]}
        for row in read_json_lines(rows)
    ]
    write_bytes(arguments.out / "scale.md", (PAGE + render_table(values)).encode())
    return write_json(arguments.out / "scale.json", {"measurements": values})


if __name__ == "__main__":
    main()
