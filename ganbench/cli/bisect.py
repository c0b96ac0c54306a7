"""The command `bisect`: names the commit at which quality or speed became worse."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from ganbench.analysis.verdicts import CommandVerdict
from ganbench.counts import count_of
from ganbench.files import temporary_folder

from .base import app, err, fail, out, refuse_options
from .interruption import KEPT_MEASUREMENTS, explained_ctrl_c, parse_time_option
from .options import Device, Json, ProfileName, VerdictFile, refuse_folder, trust_option
from .streams import print_json
from .verdict_output import end_with_files, save_verdict

Measure = tuple[Any, dict[str, Any]]  # a measurer, and the question for the state file
STATE_FOLDER = "ganbench"  # in the folder of git


@app.command()
def bisect(
    good: Annotated[str, typer.Option(metavar="REVISION", help="A revision before the fault.")],
    bad: Annotated[
        str, typer.Option(metavar="REVISION", help="A revision with the fault.")
    ] = "HEAD",
    suite: Annotated[
        str | None, typer.Option(metavar="SUITE", help="Measure the quality of a suite's cells.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="Metric of the suite. Default: its analysis.outcome.")
    ] = None,
    cell: Annotated[
        str, typer.Option(metavar="WORDS", help="Only cells with all these words.")
    ] = "",
    benchmark: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Measure a benchmark of `perf`, such as step[dcgan]."),
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            help="Run this in the commit's tree, and read the number on the last line. "
            "Exit code 125 skips the commit.",
        ),
    ] = None,
    better: Annotated[
        str | None,
        typer.Option(help="Better numbers of --command: lower (the default) or higher."),
    ] = None,
    evidence: Annotated[
        str,
        typer.Option(
            help="auto: exact numbers first. exact: any digit counts. noisy: only values."
        ),
    ] = "auto",
    error: Annotated[
        float, typer.Option(min=1e-6, max=0.5, help="Largest chance of a wrong answer.")
    ] = 0.05,
    measurements: Annotated[
        int, typer.Option(min=1, help="Largest number of measurements, with earlier ones.")
    ] = 100,
    time: Annotated[
        str, typer.Option(metavar="TIME", help="Start no measurement after: 90 s, 5 min or 2 h.")
    ] = "",
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            callback=refuse_folder,
            help="JSON lines of all measurements. Default: in .git.",
        ),
    ] = None,
    profile: ProfileName = None,
    device: Device = "auto",
    trust: Annotated[bool, trust_option("Run code of local files that the suite names.")] = False,
    as_json: Json = False,
    verdict: VerdictFile = None,
) -> None:
    """Name the commit that made a measure worse.

    The measure is the quality of a suite, the speed of a benchmark, or a number of your own. Give one of
    --suite, --benchmark and --command. Every measurement runs in a fresh process, in the commit's own tree.
    Equal losses and exact counts come first, and noisy values only if these do not differ. The same command
    goes on after a stop. Exit code 0: found. 3: it cannot decide.
    """
    require_choice("--evidence", evidence, ("auto", "exact", "noisy"))
    require_choice("--better", better or "lower", ("lower", "higher"))
    require_one_measure(suite=suite, benchmark=benchmark, command=command)
    if command is not None and evidence == "exact":
        fail("--evidence exact: a command has no exact numbers; --suite and --benchmark have some")
    if suite is None:
        given = {"metric": metric, "cell": cell or None, "profile": profile, "trust": trust}
        refuse_options("of --suite", given)
    if command is None:
        refuse_options("of --command", {"better": better})
    else:
        refuse_options("of --suite and --benchmark", {"device": device != "auto"})
    wanted = SuiteOptions(suite or "", metric, cell, profile, device, trust)
    budget = (error, measurements, parse_time_option(time), evidence)
    with explained_ctrl_c(KEPT_MEASUREMENTS), temporary_folder("bisect") as scratch:
        if suite is not None:
            measure = suite_measurer(wanted, scratch)
        elif benchmark is not None:
            measure = benchmark_measurer(benchmark, device, scratch)
        else:
            measure = command_measurer(str(command), better or "lower")
        result, *context = search_commits(good, bad, measure, budget, state)
    print_answer(result, context, as_json, verdict)


@dataclass(frozen=True)
class SuiteOptions:
    """The options of a bisection on quality."""

    suite: str
    metric: str | None
    cell: str
    profile: str | None
    device: str
    trust: bool


def search_commits(
    good: str, bad: str, measure: Measure, budget: tuple[Any, ...], state: Path | None
) -> tuple[Any, ...]:
    """Searches the commits; returns the result, the commits, the journal and the measurer."""
    from ganbench.ci.bisect.commits import list_commits
    from ganbench.ci.bisect.journal import Journal
    from ganbench.ci.bisect.search import Bisection, BisectRules
    from ganbench.ci.bisect.trees import RevisionTrees

    here, (measurer, question) = Path.cwd(), measure
    commits = list_commits(good, bad, here)
    if "benchmark" in question:
        question = {**question, "relative to": commits[0].hash}
    journal = Journal(state or default_state(here, question), question)
    err.print_line(f"{count_of(len(commits) - 1, 'commit')} after {commits[0].short}")
    with RevisionTrees(here) as trees:
        if "benchmark" in question:
            resolve_benchmark(measurer, partial(trees.side_of, commits[0].hash))
        rules = BisectRules(*budget)
        search = Bisection(commits, measurer, journal, rules, trees.side_of, err.print_line)
        return search.run(), commits, journal, measurer


def print_answer(result: Any, context: list[Any], as_json: bool, verdict: Path | None) -> NoReturn:
    """Prints the answer and ends the program with its exit code."""
    commits, journal, measurer = context
    from ganbench.ci.bisect.summary import bisect_record, bisect_sentences, bisect_table

    sentences = bisect_sentences(result, commits, measurer.title)
    record = bisect_record(result, commits, journal, measurer.title, sentences)
    if as_json:
        print_json(record.to_json())
    else:
        out.print(bisect_table(result, commits, journal, measurer))
        for line in sentences:
            out.print_line(line)
    end_with_files(result.exit_code, partial(save_verdict, verdict, record))


def require_choice(option: str, given: str, choices: tuple[str, ...]) -> None:
    from ganbench.registry import suggest

    if given not in choices:
        fail(f"{option} {given!r} is unknown{suggest(given, choices)}")


def require_one_measure(**given: str | None) -> None:
    """Ends the program unless exactly one way of measuring is given."""
    options = [f"--{name}" for name in given]
    if sum(value is not None for value in given.values()) != 1:
        fail(f"give one of {', '.join(options[:-1])} and {options[-1]}")


def suite_measurer(options: SuiteOptions, scratch: Path) -> Measure:
    """Returns the measurer of a suite's cells, and the question for the state file."""
    from ganbench.analysis.metric_scale import MetricScale
    from ganbench.ci.bisect.measurers import SuiteMeasurer
    from ganbench.ci.quality.baseline import metric_facts_record
    from ganbench.experiments.suite_files import find_suite_file

    from .trainings import read_suite

    suite, profile, device = read_suite(options.suite, options.device, options.profile)
    metric, file = require_metric(suite, options.metric), find_suite_file(options.suite)
    cells, facts = matching_cells(suite, profile, device, options.cell), metric_facts_record(metric)
    scale = MetricScale(facts.direction, facts.transform)
    measurer = SuiteMeasurer(
        file, metric, cells, profile, device, scale, scratch, Path.cwd(), options.trust
    )
    question = {"suite": file.read_text("utf-8"), "metric": metric, "cells": list(cells)}
    return measurer, {**question, "profile": profile, **machine_facts(device)}


def require_metric(suite: Any, metric: str | None) -> str:
    """Returns the metric, or the outcome of the suite; ends the program for another one."""
    from ganbench.registry import suggest

    wanted = str(metric or suite.analysis.outcome)
    if wanted not in suite.metrics:
        fail(
            f"--metric {wanted}: suite {suite.name} does not measure it{suggest(wanted, suite.metrics)}"
        )
    return wanted


def matching_cells(suite: Any, profile: str, device: str, words: str) -> tuple[str, ...]:
    """Returns the labels of compatible cells with all the words."""
    from ganbench.experiments.plan import plan_trials
    from ganbench.experiments.select_trials import has_all_words, suggest_word

    planned = plan_trials(suite, profile, device)
    trials = [p for p in planned if p.role == "trial" and not p.incompatibility]
    labels = tuple(dict.fromkeys(p.label() for p in trials))
    chosen = tuple(label for label in labels if has_all_words(label, words))
    if not chosen:
        fail(f"no cell of {suite.name} has all the words {words!r}{suggest_word(labels, words)}")
    return chosen


def machine_facts(device: str) -> dict[str, str]:
    """Returns the facts that digits and times depend on."""
    from ganbench.ci.machine import describe_machine
    from ganbench.experiments.provenance import torch_minor

    return {"device": device, "machine": describe_machine(device), "torch": torch_minor()}


def benchmark_measurer(benchmark: str, device: str, scratch: Path) -> Measure:
    from ganbench.ci.bisect.measurers import BenchmarkMeasurer
    from ganbench.ci.performance.process import HarnessRunner

    from .perf import require_usable_device

    chosen = require_usable_device(device)
    question = {"benchmark": benchmark, **machine_facts(chosen)}
    return BenchmarkMeasurer(benchmark, HarnessRunner(scratch, chosen)), question


def resolve_benchmark(measurer: Any, open_good: Callable[[], Any]) -> None:
    """Finds the benchmark in the good commit; ends the program if the commit cannot run."""
    from ganbench.ci.performance.process import CannotRun

    try:
        measurer.resolve(open_good)
    except CannotRun as error:
        fail(f"Cannot decide: the good commit: {error}", CommandVerdict.CANNOT_DECIDE.exit_code)


def command_measurer(command: str, better: str) -> Measure:
    from ganbench.ci.bisect.measurers import CommandMeasurer
    from ganbench.ci.git import run_git

    folder = run_git("rev-parse", "--show-prefix", here=Path.cwd()).stdout.strip()
    question = {"command": command, "better": better, "folder": folder}
    return CommandMeasurer(command, better), question


def default_state(here: Path, question: dict[str, Any]) -> Path:
    """Returns the state file of a question, in the folder of git that all worktrees share."""
    from ganbench.ci.git import run_git
    from ganbench.files import hash_json

    common = run_git("rev-parse", "--git-common-dir", here=here).stdout.strip()
    return (here / common / STATE_FOLDER / f"bisect-{hash_json(question, 12)}.jsonl").resolve()
