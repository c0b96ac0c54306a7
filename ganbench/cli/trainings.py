"""Parts that commands share which train: the suite, the executor, and the answer of a run."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import typer

from ganbench.counts import count_of
from ganbench.devices import usable_cpus
from ganbench.experiments.plan_names import TRAINED_OUTCOMES, short_id
from ganbench.experiments.run_options import sets_seeds
from ganbench.experiments.suite_files import find_suite_file

from .base import FAILED, err, fail, out
from .streams import print_json


def merge_overrides(*overrides: list[str] | None) -> list[str]:
    """Returns all overrides of a suite, in the order in which they apply."""
    return [text for texts in overrides for text in texts or []]


def read_suite(
    text: str,
    device: str,
    profile: str | None = None,
    overrides: Sequence[str] = (),
    seeds: int | None = None,
) -> tuple[Any, str, str]:
    """Returns the suite, its profile and the device; ends the program if they do not fit."""
    from ganbench.devices import select_device
    from ganbench.experiments.suite_loader import load_suite

    chosen = select_device(device)
    suite = load_suite(find_suite_file(text), overrides)
    name = suite.select_profile(profile, chosen)
    if seeds is not None:
        require_seed_count(seeds)
        changes = [*overrides, f"seeds={seeds}", f"budget.{name}.seeds={seeds}"]
        suite = load_suite(find_suite_file(text), changes)
    return suite, name, chosen


def require_seed_count(seeds: int) -> None:
    """Ends the program if --seeds has more seeds than a suite may have."""
    from ganbench.experiments.suite import MAX_SEEDS

    if seeds > MAX_SEEDS:
        fail(f"--seeds {seeds}: a suite has at most {MAX_SEEDS:,} seeds")


def refuse_seeds_twice(seeds: int | None, overrides: Sequence[str]) -> None:
    """Ends the program if an override sets the seeds that --seeds sets too."""
    for text in overrides:
        if seeds is not None and sets_seeds(text):
            fail(f"--seeds and -o {text} set the same: leave out one of them")


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
    done = sum(s.state in TRAINED_OUTCOMES for s in result.statuses)
    measured = min(result.trained_before, done)
    counts = [(done - measured, verb), (measured, "measured")]
    (first, name), *others = [each for each in counts if each[0]] or [(0, verb)]
    parts = [f"{count_of(first, 'trial')} {name}", *(f"{count:,} {name}" for count, name in others)]
    return ", ".join([*parts, f"{result.finished_before:,} kept"])


def executor_of(text: str, workers: int | None, device: str, processes: int = 1) -> Any:
    """Returns the executor that --executor and --workers name, for trials of some processes."""
    from ganbench.experiments.executors import EXECUTORS, executor_label

    if workers is not None and text != "auto":
        refuse_ignored_workers(text, workers)
    count = default_workers(device, processes) if workers is None else workers
    return EXECUTORS.make(executor_label(text, count))


def refuse_ignored_workers(text: str, workers: int) -> None:
    """Ends the program if the executor would have another number of workers than --workers."""
    from ganbench.experiments.executors import EXECUTORS
    from ganbench.registry import parse_spec

    settings, given = dict(EXECUTORS.resolve(text).settings), parse_spec(text)
    if "workers" in dict(given.settings):
        fail(f"--workers and --executor {text!r} set the same: leave out one of them")
    if "workers" in settings and workers == 0:
        fail(f"--executor {text} needs a worker: for none, name --executor inline")
    if "jobs" in settings:
        remedy = f"limit its jobs, as in {given.name}(jobs={workers or 1})"
        fail(f"--workers has no effect on --executor {text}: {remedy}")
    if "workers" not in settings and workers:
        fail(f"--executor {text} has no workers: leave out --workers {workers}")


def default_workers(device: str, processes: int = 1) -> int:
    """Returns the number of workers whose trials, of some processes each, fill this machine."""
    return max(1, usable_cpus() // processes) if device == "cpu" else 1


def print_failures(statuses: Sequence[Any]) -> int:
    """Prints each failed trial with its log, and returns the exit code."""
    failed = [s for s in statuses if s.state in ("failed", "interrupted")]
    for status in failed:
        attempt = status.job.last_attempt()
        where = f" (log: {attempt.log_path})" if attempt and attempt.log_path.exists() else ""
        err.print_line(f"{status.state}: {short_id(status.job.trial.id)}: {status.reason}{where}")
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
