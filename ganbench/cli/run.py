"""The command `run`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ganbench.counts import count_of
from ganbench.devices import usable_cpus
from ganbench.experiments.plan_names import TRAINED_OUTCOMES
from ganbench.experiments.suite_files import find_suite_file, hash_suite_file

from .base import INTERRUPTED, app, err, fail, out
from .interruption import command_without
from .options import (
    DEFAULT_RESULTS,
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
)
from .stores import merge_sources, print_merge
from .trainings import (
    executor_of,
    merge_overrides,
    print_run_result,
    read_suite,
    refuse_seeds_twice,
)
from .watch import Trackers, open_trackers

FROM_SCRATCH = "--from-scratch"


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
            FROM_SCRATCH,
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
    refuse_seeds_twice(seeds, overrides)
    declared, name, chosen = read_suite(suite, device, profile, overrides, seeds)
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
    content = hash_suite_file(find_suite_file(suite))
    request = RunRequest(declared, name, chosen, results, stale, selection, options, content)  # type: ignore[arg-type]
    rounds = RunInRounds(request)
    with RunProgress(console) as progress, tracking, explained_stops(rounds, deadline):
        progress.show_phase("planning and measuring floors")
        prepared = rounds.prepare()
        for line in describe_incompatible_arms(prepared.plan):
            console.print_line(line)
        crowded = crowding_notes(runs_trials, processes, chosen)
        for note in [*prepared.notes, *from_scratch_notes(from_scratch), *crowded]:
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
    """Ends the program with the command that goes on, after a deadline or Ctrl-C.

    A prepared run has deleted the results of --from-scratch; the option would delete those of this run.
    """
    from ganbench.experiments.deadline import DeadlineReached

    try:
        yield
    except DeadlineReached:
        fail(
            f"Stopped for the deadline {deadline}{count_finished(rounds.prepared)}. Finished trials and "
            f"checkpoints are kept. To resume: {command_without('--deadline', FROM_SCRATCH)}",
            INTERRUPTED,
        )
    except KeyboardInterrupt:
        spent = [FROM_SCRATCH] if rounds.prepared else []
        kept = count_finished(rounds.prepared)
        fail(f"Stopped{kept}. To resume: {command_without(*spent)}", INTERRUPTED)


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
    done = sum(status.state in TRAINED_OUTCOMES for status in prepared.statuses)
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


def from_scratch_notes(from_scratch: bool) -> list[str]:
    """Returns a note that a repeated command would delete the results of this run."""
    note = f"the old results are deleted: to resume this run, leave out {FROM_SCRATCH}"
    return [note] if from_scratch else []


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
