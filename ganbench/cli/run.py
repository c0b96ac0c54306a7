"""The command `run`, and helpers of all commands that train."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from ganbench.counts import count_of
from ganbench.devices import usable_cpus
from ganbench.experiments.suite_files import find_suite_file

from .base import (
    DEFAULT_RESULTS,
    FAILED,
    INTERRUPTED,
    Device,
    ExecutorName,
    InceptionWeights,
    Json,
    NumericsSettings,
    Override,
    ProfileName,
    Results,
    SeedCount,
    SuiteArgument,
    Trust,
    Workers,
    app,
    err,
    fail,
    out,
    print_json,
)
from .interruption import command_without_deadline, this_command
from .stores import merge_sources, print_merge
from .watch import Trackers, open_trackers


def merge_overrides(*overrides: list[str] | None) -> list[str]:
    """Returns all overrides of a suite, in the order in which they apply."""
    return [text for texts in overrides for text in texts or []]


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
    numerics: NumericsSettings = None,
    stale: Annotated[
        str, typer.Option(help="Results of other code: reuse, rerun, or ask: stop and name both.")
    ] = "ask",
    only: Annotated[
        str, typer.Option(metavar="WORDS", help="Run only cells with all these words, or a trial.")
    ] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Run at most this many trials.")] = None,
    deadline: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="Stop in time with checkpoints: 2h, 02:30 or an ISO date. Without workers a "
            "trial cannot be interrupted.",
        ),
    ] = "",
    retry: Annotated[bool, typer.Option("--retry", help="Run only trials that failed.")] = False,
    from_scratch: Annotated[
        bool,
        typer.Option(
            "--from-scratch",
            help="First delete the results of the trials of --only or --retry.",
        ),
    ] = False,
    known: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="SOURCE",
            help="Count trials of another store as done: an archive of `export`, a folder of "
            "archives, or a store. May be repeated.",
        ),
    ] = None,
    inception_weights: InceptionWeights = None,
    trust: Trust = False,
    tracker: Trackers = None,
    as_json: Json = False,
) -> None:
    """Train and measure every cell of a suite.

    Finished trials are kept. Failed and interrupted ones are run again from their checkpoints. One seed
    of every cell comes first, so that early results are balanced. With adaptive seeds, arms of undecided
    effects get more seeds. The run ends with the leaderboard and the effects of tricks.
    """
    from ganbench.experiments.incompatible_arms import describe_incompatible_arms
    from ganbench.experiments.numerics_axes import with_numerics
    from ganbench.experiments.runner import RunRequest
    from ganbench.experiments.select_trials import TrialSelection

    from .progress import RunProgress
    from .rounds import RunInRounds

    if stale not in ("ask", "reuse", "rerun"):
        fail(f"--stale is ask, reuse or rerun, not {stale!r}")
    if from_scratch and not (only or retry):
        fail("--from-scratch deletes results: name their trials by --only or --retry")
    overrides = merge_overrides(override, numerics)
    declared, name, chosen = read_suite(suite, overrides, seeds, profile, device)
    console = err if as_json else out
    processes = declared.count_processes()
    runs_trials = executor_of(executor, workers, chosen, processes)
    ends = deadline_of(deadline, runs_trials)
    selection = TrialSelection(only, limit, retry, from_scratch)
    declared = with_numerics(declared, runs_trials.numerics)
    console.print(": ".join(filter(None, [declared.name, declared.about])), markup=False)
    make_results_folder(results)
    for summary in merge_sources(known or [], results):
        print_merge(summary, console)
    tracking = open_trackers(tracker, declared.name, results / declared.name, console)
    named = {"--profile": profile, "--seeds": seeds, "--workers": workers}
    automatic = {"--device": device, "--executor": executor}
    options = options_of_run(overrides, named, automatic, trust)
    request = RunRequest(declared, name, chosen, results, stale, selection, options)  # type: ignore[arg-type]
    rounds = RunInRounds(request)
    with RunProgress(console) as progress, tracking, explained_stops(rounds, deadline):
        progress.show_phase("planning and measuring floors")
        prepared = rounds.prepare()
        for line in describe_incompatible_arms(prepared.plan):
            console.print_line(line)
        for note in [*prepared.notes, *crowding_notes(runs_trials, processes, chosen)]:
            console.print_line(f"note: {note}")
        result, report, files = run_and_report(rounds, runs_trials, ends, progress, tracking)
    if result.replaced:
        console.print("Replaced the tables of another plan; its trials are kept.")
    print_run_result(result, report, files, "trained", as_json)


def make_results_folder(results: Path) -> None:
    try:
        results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"--results {results} cannot be written: {error.strerror}")


@contextmanager
def explained_stops(rounds: Any, deadline: str) -> Iterator[None]:
    """Ends the program with the command that goes on, after a deadline or Ctrl-C."""
    from ganbench.experiments.deadline import DeadlineReached

    try:
        yield
    except DeadlineReached:
        fail(
            f"Stopped for the deadline {deadline}{count_finished(rounds.prepared)}. Finished trials and "
            f"checkpoints are kept. To resume: {command_without_deadline()}",
            INTERRUPTED,
        )
    except KeyboardInterrupt:
        kept = count_finished(rounds.prepared)
        fail(f"Stopped{kept}; the same command goes on: {this_command()}", INTERRUPTED)


def run_and_report(
    rounds: Any, executor: Any, ends: Any, progress: Any, tracking: Any
) -> tuple[Any, Any, list[Path]]:
    """Runs all rounds, and writes the report even if they are stopped.

    Returns the result, the report and its files.
    """
    from ganbench.experiments.signals import acknowledge_stop
    from ganbench.report.writer import write_report

    from .progress import WRITING

    def show(trials: Sequence[Any], finished_before: int) -> None:
        progress.show(trials, finished_before)
        tracking.update(trials)

    try:
        progress.show_phase("")
        with acknowledge_stop(progress.print_stopping):
            result = rounds.execute(executor, show, ends, progress.print)
    finally:
        progress.show_phase(WRITING)
        report, files = write_report(rounds.prepared.plan, rounds.prepared.folder)
    return result, report, files


def count_finished(prepared: Any) -> str:
    """Returns ` after 2 of 34 trials`, or nothing for a run that has not begun."""
    if prepared is None:
        return ""
    done = sum(status.state in ("done", "diverged") for status in prepared.statuses)
    total = count_of(len(prepared.statuses) + prepared.finished_before, "trial")
    return f" after {done + prepared.finished_before:,} of {total}"


def options_of_run(
    overrides: list[str], named: dict[str, Any], automatic: dict[str, str], trust: bool
) -> list[str]:
    """Returns the options of a command that continues this run, without its selection."""
    given = {name: value for name, value in named.items() if value is not None}
    given |= {name: value for name, value in automatic.items() if value != "auto"}
    options = [word for text in overrides for word in ("-o", text)]
    options += [word for name, value in given.items() for word in (name, str(value))]
    return [*options, *(["--trust"] if trust else [])]


def deadline_of(text: str, executor: Any) -> Any:
    """Returns the deadline of a run, or None without one."""
    from ganbench.experiments.deadline import Deadline, parse_deadline
    from ganbench.experiments.executors.inline import Inline

    if not text:
        return None
    return Deadline(parse_deadline(text), stops_within_trials=not isinstance(executor, Inline))


def print_run_result(
    result: Any, report: Any, files: list[Path], verb: str, as_json: bool
) -> NoReturn:
    """Prints the results of a run and ends the program."""
    from ganbench.report.terminal import print_report

    from .progress import format_clock

    if as_json:
        print_json(run_summary(result, report, files))
    else:
        print_report(report, out)
        out.print(f"{count_work(result, verb)}, in {format_clock(result.seconds)}.")
        if result.left_out:
            out.print(f"{count_of(result.left_out, 'trial')} left for other runs.")
        for path in files:
            out.print_line(f"  {path}")
    raise typer.Exit(print_failures(result.statuses))


def count_work(result: Any, verb: str) -> str:
    """Returns `4 trials trained, 2 measured, 3 kept`."""
    done = sum(s.state in ("done", "diverged") for s in result.statuses)
    measured = min(result.trained_before, done)
    counts = [(done - measured, verb), (measured, "measured")]
    (first, name), *others = [each for each in counts if each[0]] or [(0, verb)]
    parts = [f"{count_of(first, 'trial')} {name}", *(f"{count:,} {name}" for count, name in others)]
    return ", ".join([*parts, f"{result.finished_before:,} kept"])


def executor_of(text: str, workers: int | None, device: str, processes: int = 1) -> Any:
    """Returns the executor that --executor and --workers name, for trials of some processes."""
    from ganbench.experiments.executors import EXECUTORS, executor_label

    count = default_workers(device, processes) if workers is None else workers
    return EXECUTORS.make(executor_label(text, count))


def default_workers(device: str, processes: int = 1) -> int:
    """Returns the number of workers whose trials, of some processes each, fill this machine."""
    return max(1, usable_cpus() // processes) if device == "cpu" else 1


def crowding_notes(executor: Any, processes: int, device: str) -> list[str]:
    """Returns a note if the processes of all workers are more than the CPU cores or the GPUs."""
    workers = getattr(executor, "workers", 1)
    if processes == 1 or workers < 2:
        return []
    if device != "cpu":
        return [f"{workers} workers share the first {processes} GPUs: use --workers 1"]
    if workers * processes <= (cores := usable_cpus()):
        return []
    return [f"{workers} workers of {processes} processes each share {count_of(cores, 'CPU core')}"]


def print_failures(statuses: Sequence[Any]) -> int:
    """Prints each failed trial with its log, and returns the exit code."""
    failed = [s for s in statuses if s.state in ("failed", "interrupted")]
    for status in failed:
        attempt = status.job.last_attempt()
        where = f" (log: {attempt.log_path})" if attempt and attempt.log_path.exists() else ""
        err.print_line(f"{status.state}: {status.job.trial.id[:16]}: {status.reason}{where}")
    return FAILED if failed else 0


def run_summary(result: Any, report: Any, files: list[Path]) -> dict[str, Any]:
    """Returns the results of a run as JSON data."""
    outcomes = Counter(status.state for status in result.statuses)
    return {
        "suite": report.plan["suite"],
        "kept": result.finished_before,
        "left_out": result.left_out,
        "outcomes": outcomes,
        "seconds": round(result.seconds, 1),
        "findings": report.findings,
        "files": [str(path) for path in files],
    }
