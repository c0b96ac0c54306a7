"""Commands that train and measure: `run`, `plan`, `status`, `measure`."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from ganbench.devices import usable_cpus

from .base import (
    DEFAULT_RESULTS,
    FAILED,
    INTERRUPTED,
    Device,
    ExecutorName,
    InceptionWeights,
    Json,
    Override,
    ProfileName,
    Results,
    SeedCount,
    SuiteArgument,
    Workers,
    app,
    err,
    fail,
    has_store,
    out,
    print_json,
    read_frame,
    suite_folder,
)
from .watch import Trackers, open_trackers


def find_suite_file(text: str) -> Path:
    """`suites/bench.toml` or, for short, `bench`."""
    path = Path(text)
    if path.exists() or path.suffix:
        return path
    shipped = Path(__file__).parents[1]
    folders = (
        Path("suites"),
        shipped / "suites",
        shipped.parent / "suites",
    )  # a wheel's, a clone's
    return next((f / f"{text}.toml" for f in folders if (f / f"{text}.toml").exists()), path)


def read_suite(
    text: str, overrides: list[str] | None, seeds: int | None, profile: str | None, device: str
) -> Any:
    """The suite, its profile and the device; ends the program if they do not fit."""
    from ganbench.devices import select_device
    from ganbench.experiments.suite_loader import load_suite

    chosen = select_device(device)
    suite = load_suite(find_suite_file(text), overrides or [])
    name = suite.select_profile(profile, chosen)
    if seeds is not None:
        changes = [*(overrides or []), f"seeds={seeds}"]
        changes += [f"budget.{name}.seeds={seeds}"]
        suite = load_suite(find_suite_file(text), changes)
    return suite, name, chosen


@app.command()
def run(
    suite: SuiteArgument,
    results: Results = DEFAULT_RESULTS,
    workers: Workers = None,
    executor: ExecutorName = "auto",
    device: Device = "auto",
    profile: ProfileName = None,
    seeds: SeedCount = None,
    override: Override = None,
    stale: Annotated[str, typer.Option(help="Results of other code: ask, reuse or rerun.")] = "ask",
    inception_weights: InceptionWeights = None,
    tracker: Trackers = None,
    as_json: Json = False,
) -> None:
    """Train and measure every cell of a suite.

    Finished trials are kept, and interrupted ones resume from their checkpoints. The run ends with the
    leaderboard and the effects of tricks.
    """
    from ganbench.experiments.runner import prepare_run
    from ganbench.report.writer import write_report

    from .progress import RunProgress

    if stale not in ("ask", "reuse", "rerun"):
        fail(f"--stale is ask, reuse or rerun, not {stale!r}")
    declared, name, chosen = read_suite(suite, override, seeds, profile, device)
    console = err if as_json else out
    runs_trials = executor_of(executor, workers, chosen)
    console.print(": ".join(filter(None, [declared.name, declared.about])), markup=False)
    try:
        results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"--results {results} cannot be written: {error.strerror}")
    tracking = open_trackers(tracker, declared.name, results / declared.name, console)
    with RunProgress(console) as progress, tracking:

        def show(trials: Sequence[Any], finished_before: int) -> None:
            progress.show(trials, finished_before)
            tracking.update(trials)

        try:
            prepared = prepare_run(declared, name, chosen, results, stale)  # type: ignore[arg-type]
            try:
                result = prepared.execute(runs_trials, show)
            finally:
                frame, files = write_report(prepared.plan, prepared.folder)
        except KeyboardInterrupt:
            again = shlex.join(["ganbench", *sys.argv[1:]])
            fail(
                f"Stopped. Finished trials and checkpoints are kept. To resume: {again}",
                INTERRUPTED,
            )
    if result.replaced:
        console.print("Replaced the tables of another plan; its trials are kept.")
    print_run_result(result, frame, files, "trained", as_json)


def print_run_result(
    result: Any, frame: Any, files: list[Path], verb: str, as_json: bool
) -> NoReturn:
    """Prints the results of a run and ends the program."""
    from ganbench.report.terminal import print_leaderboard

    from .progress import format_clock

    if as_json:
        print_json(run_summary(result, frame, files))
    else:
        print_leaderboard(frame, out)
        count = sum(s.state in ("done", "diverged") for s in result.statuses)
        out.print(
            f"{count} trials {verb}, {result.finished_before} kept, in {format_clock(result.seconds)}."
        )
        for path in files:
            out.print(f"  {path}", markup=False, soft_wrap=True)
    raise typer.Exit(print_failures(result.statuses))


def executor_of(text: str, workers: int | None, device: str) -> Any:
    """Returns the executor that --executor and --workers name."""
    from ganbench.experiments.executors import EXECUTORS, executor_label

    count = default_workers(device) if workers is None else workers
    return EXECUTORS.make(executor_label(text, count))


def default_workers(device: str) -> int:
    return usable_cpus() if device == "cpu" else 1


def print_failures(statuses: Sequence[Any]) -> int:
    """Prints each failed trial with its log, and returns the exit code."""
    failed = [s for s in statuses if s.state in ("failed", "interrupted")]
    for status in failed:
        attempt = status.job.last_attempt()
        where = f" (log: {attempt.log_path})" if attempt and attempt.log_path.exists() else ""
        err.print(
            f"{status.state}: {status.job.trial.id[:16]}: {status.reason}{where}",
            markup=False,
            soft_wrap=True,
        )
    return FAILED if failed else 0


def run_summary(result: Any, frame: Any, files: list[Path]) -> dict[str, Any]:
    """Returns the results of a run as JSON data."""
    from ganbench.report.findings import run_findings

    outcomes: dict[str, int] = {}
    for status in result.statuses:
        outcomes[status.state] = outcomes.get(status.state, 0) + 1
    return {
        "suite": frame.attrs["plan"]["suite"],
        "kept": result.finished_before,
        "outcomes": outcomes,
        "seconds": round(result.seconds, 1),
        "findings": run_findings(frame),
        "files": [str(path) for path in files],
    }


@app.command()
def plan(
    suite: SuiteArgument,
    device: Device = "auto",
    profile: ProfileName = None,
    seeds: SeedCount = None,
    override: Override = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes of the estimate.")
    ] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate/--no-estimate", help="Time a few steps on this machine.")
    ] = True,
    inception_weights: InceptionWeights = None,
    as_json: Json = False,
) -> None:
    """List a run's cells and estimate its time.

    Incompatible cells are listed with their reasons. The estimate times a few steps of each network and
    set of tricks.
    """
    from ganbench.experiments.plan import plan_trials
    from ganbench.experiments.time_estimate import estimate_seconds

    declared, name, chosen = read_suite(suite, override, seeds, profile, device)
    planned = plan_trials(declared, name, chosen)
    trials = [p.trial for p in planned if not p.incompatibility]
    count = workers or default_workers(chosen)
    content = {
        **plan_contents(declared, {p.label(): p.incompatibility for p in planned}),
        "profile": name,
        "device": chosen,
        "workers": count,
        "seeds": declared.seeds_of(name),
        "trials": len(trials),
    }
    if not as_json:
        print_planned_cells(content)
    seconds = round(estimate_seconds(trials, count), 1) if estimate else None
    if as_json:
        print_json({**content, "seconds": seconds})
    else:
        out.print(plan_sentence(content, seconds), soft_wrap=True)
    if not trials:
        fail("every cell of this suite is incompatible; the reasons are above")


def plan_contents(suite: Any, incompatibilities: dict[str, str]) -> dict[str, Any]:
    """Returns the cells of a suite, and those that are not trained with their reasons."""
    from ganbench.experiments.suite import expand_cells

    included, excluded = expand_cells(suite)
    refused = {cell: reason for cell, reason in incompatibilities.items() if reason}
    return {
        "suite": suite.name,
        "cells": [str(cell) for cell in included if str(cell) not in refused],
        "not_applicable": refused,
        "excluded": {str(cell): reason for cell, reason in excluded},
        "aliases": [" = ".join(group) for group in aliased_effects(suite)],
    }


def aliased_effects(suite: Any) -> list[tuple[str, ...]]:
    """Returns groups of effects that a fractional design cannot separate."""
    from ganbench.experiments.factorial import aliased_terms

    fractions = [g.tricks for g in suite.grid if g.tricks.design == "fractional_factorial"]
    return [group for tricks in fractions for group in aliased_terms(tricks.list_chains())]


def print_planned_cells(content: dict[str, Any]) -> None:
    lines = [f"  {cell}" for cell in content["cells"]]
    for kind in ("not_applicable", "excluded"):
        name = kind.replace("_", " ")
        lines += [f"{name}: {cell}: {reason}" for cell, reason in content[kind].items()]
    lines += [f"aliased: {group}" for group in content["aliases"]]
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)


def plan_sentence(content: dict[str, Any], seconds: float | None) -> str:
    from .progress import format_clock

    counts = (
        f"{len(content['cells'])} cells and {len(content['seeds'])} seeds, with untrained references "
        f"{content['trials']} trials"
    )
    place = f"on {content['device']}, profile {content['profile']}."
    if seconds is None:
        return f"{counts} {place}"
    return f"{counts}; about {format_clock(seconds)} with {content['workers']} worker(s) {place}"


@app.command()
def status(suite: SuiteArgument, results: Results = DEFAULT_RESULTS, as_json: Json = False) -> None:
    """Count finished, failed and pending trials.

    The counts come from the store, so they are those of a run in progress too.
    """
    state = read_suite_status(suite, results)
    if as_json:
        return print_json(
            {"trials": state.trials, "outcomes": state.outcomes, "reasons": state.reasons}
        )
    counts = ", ".join(f"{count} {outcome}" for outcome, count in state.outcomes.items())
    out.print(f"{state.trials} trials: {counts}")
    for label, reason in state.reasons.items():
        out.print(f"  {label}: {reason}", markup=False, soft_wrap=True)
    return None


def read_suite_status(suite: str, results: Path) -> Any:
    """Reads the status of a suite from its store, or from its tables where there is no store."""
    from ganbench.experiments.outcomes import read_plan_status
    from ganbench.experiments.store import Store
    from ganbench.files import read_json

    folder = suite_folder(suite, results)
    plan = read_json(folder / "plan.json")
    if plan is not None and has_store(folder):
        return read_plan_status(plan, Store(folder.parent))
    from ganbench.analysis.rows import read_table_status  # imports pandas

    return read_table_status(read_frame(suite, results))


@app.command()
def measure(
    suite: SuiteArgument,
    protocol: Annotated[str, typer.Option(help="torch-fidelity, 'ganbench(fakes=5000)', ...")] = "",
    metrics: Annotated[str, typer.Option(help="More metrics, separated by commas.")] = "",
    results: Results = DEFAULT_RESULTS,
    workers: Workers = None,
    executor: ExecutorName = "auto",
    inception_weights: InceptionWeights = None,
    as_json: Json = False,
) -> None:
    """Measure finished trials by more metrics.

    Nothing is trained again. More metrics join the table of the suite; another protocol has a table of
    its own.
    """
    from ganbench.evaluation.protocols import protocol_label
    from ganbench.experiments.remeasure import MeasureRequest, remeasure
    from ganbench.report.writer import write_report

    from .progress import RunProgress

    console = err if as_json else out
    runs_trials = executor_of(executor, workers, "cpu")
    with RunProgress(console) as progress:
        try:
            request = MeasureRequest(
                protocol_label(protocol) if protocol else "", parse_metric_labels(metrics)
            )
            result = remeasure(suite_folder(suite, results), request, runs_trials, progress.show)
            frame, files = write_report(result.plan, result.folder)
        except KeyboardInterrupt:
            fail("Stopped. Measured values are kept.", INTERRUPTED)
    print_run_result(result, frame, files, "measured", as_json)


def parse_metric_labels(text: str) -> tuple[str, ...]:
    """Parses metrics separated by commas; commas within parentheses separate settings."""
    from ganbench.evaluation.metrics import METRICS
    from ganbench.registry import split_specs

    given = split_specs(text)
    for part in given:
        METRICS.make(part)
    return tuple(map(METRICS.label, given))
