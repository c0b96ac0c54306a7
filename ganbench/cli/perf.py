"""The command `perf`: compares speed and memory of two versions."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ganbench.analysis.verdicts import CommandVerdict, ComparisonVerdict
from ganbench.counts import count_of, list_first
from ganbench.errors import install_command
from ganbench.files import temporary_folder

from .base import app, err, fail, out
from .interruption import parse_time_option
from .options import (
    BenchmarkWords,
    Device,
    Instructions,
    Json,
    VerdictFile,
    refuse_folder,
    refuse_special_file,
)
from .streams import print_json
from .verdict_output import append_text, end_with_files, save_verdict

# Alternated on one core, pairs differ by a few percent, so that few pairs find a tenth.
DEFAULT_PERF_MARGINS = {"cpu": 0.10, "cuda": 0.05}
MAX_NAMED = 3
MAX_COUNTING_SECONDS = 300.0  # for instructions, unless --instructions is given

Version = "A git revision or a folder."


@app.command()
def perf(
    base: Annotated[str, typer.Option(help=Version)],
    head: Annotated[str, typer.Option(help=Version)] = ".",
    only: BenchmarkWords = None,
    margin: Annotated[
        float | None,
        typer.Option(min=0.001, max=1, help="Slowdown to find. Default: 0.1, GPU 0.05."),
    ] = None,
    pairs: Annotated[int, typer.Option(min=4, help="Maximum pairs of processes per round.")] = 10,
    time: Annotated[
        str, typer.Option(help="After this time, start no more than four pairs per round.")
    ] = "3 min",
    allow_missing: Annotated[
        bool,
        typer.Option("--allow-missing", help="Do not fail for benchmarks missing on the head."),
    ] = False,
    instructions: Instructions = None,
    device: Device = "auto",
    as_json: Json = False,
    into: Annotated[
        Path | None,
        typer.Option("--out", callback=refuse_special_file, help="JSON file of all measurements."),
    ] = None,
    summary: Annotated[
        Path | None,
        typer.Option(
            envvar="GITHUB_STEP_SUMMARY",
            callback=refuse_folder,
            help="Append a Markdown table to this file.",
        ),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(callback=refuse_folder, help="Append the head's values to this file."),
    ] = None,
    verdict_file: VerdictFile = None,
) -> None:
    """Compare speed and memory of two versions.

    Both are measured alternately on this machine. Exit code 0: not slower. 1: slower. 3: it cannot decide.
    """
    from ganbench.ci.performance.process import count_concurrent_pairs
    from ganbench.ci.performance.rules import PerfRules
    from ganbench.ci.performance.summary import (
        perf_powers,
        perf_record,
        perf_sentences,
    )

    chosen = require_usable_device(device)
    limit, uncounted = limit_of_counting(instructions, chosen)
    rules = PerfRules(
        DEFAULT_PERF_MARGINS[chosen] if margin is None else margin,
        pairs,
        parse_time_option(time),
        limit,
        must_count=bool(instructions),
        concurrent_pairs=count_concurrent_pairs(chosen),
    )
    report, revisions = measure_both_sides(base, head, chosen, rules, only or [])
    report.uncounted = report.uncounted or uncounted
    chances = perf_powers(report, rules)
    verdict, why = verdict_and_reason(report, allow_missing)
    sentences = [*perf_sentences(report, rules, chances), why]
    title = f"Performance: {base} {revisions['base']} to {head} {revisions['head']}"
    facts = {"title": title, "margin": rules.margin, **revisions}
    record = perf_record(report, verdict, sentences, chances, facts)
    print_perf_report(report, record, as_json)
    end_with_files(
        verdict.exit_code,
        partial(save_verdict, verdict_file, record),
        partial(write_perf_report, report, record, into),
        partial(append_perf_summary, report, summary, record),
        partial(append_perf_history, report, history, chosen, revisions["head"]),
    )


def limit_of_counting(wanted: bool | None, device: str) -> tuple[float, str]:
    """Returns the time limit of counting instructions, or 0 and why they are not counted."""
    from ganbench.ci.performance.instructions import why_not_countable
    from ganbench.ci.performance.process import MAX_PROCESS_SECONDS

    if wanted is False:
        return 0.0, ""
    why = why_not_countable() if device == "cpu" else "Valgrind does not see a GPU"
    if why and wanted:
        fail(f"--instructions: {why}")
    if why:
        return 0.0, why
    return (MAX_PROCESS_SECONDS if wanted else MAX_COUNTING_SECONDS), ""


def measure_both_sides(
    base: str, head: str, device: str, rules: Any, words: list[str]
) -> tuple[Any, dict[str, str]]:
    """Measures both versions; returns the report and their revisions.

    The report has the reason if a side cannot run.
    """
    from ganbench.ci.performance.gate import PerfGate, PerfReport
    from ganbench.ci.performance.process import CannotRun, HarnessRunner

    with open_both_revisions(base, head) as (before, now), temporary_folder("perf") as folder:
        revisions = {"base": before.revision, "head": now.revision}
        runner = HarnessRunner(folder, device)
        try:
            return PerfGate(before, now, runner, rules, err.print_line).run(words), revisions
        except CannotRun as error:
            return PerfReport(refusal=str(error)), revisions


def print_perf_report(report: Any, record: Any, as_json: bool) -> None:
    from ganbench.ci.performance.summary import perf_reasons, perf_table

    if as_json:
        return print_json(record.to_json())
    if report.comparisons:
        out.print(perf_table(report))
    for line in (*perf_reasons(report), *record.sentences):
        out.print_line(line)
    return None


def require_usable_device(device: str) -> str:
    """Returns the device; ends the program if a package of the harness is missing."""
    from ganbench.ci.performance.process import missing_packages
    from ganbench.devices import select_device

    if missing := missing_packages():
        fail(f"perf needs {' and '.join(missing)}: {install_command('perf')}")
    chosen = select_device(device)
    if chosen not in DEFAULT_PERF_MARGINS:
        if device != "auto":
            fail(f"perf measures on cpu and on cuda, not on {chosen}")
        return "cpu"
    return chosen


@contextmanager
def open_both_revisions(base: str, head: str) -> Iterator[tuple[Any, Any]]:
    """Opens the sources of both versions while they are measured."""
    from ganbench.ci.performance.revisions import open_revision

    start_folder = Path.cwd()
    with (
        open_revision("base", base, start_folder) as before,
        open_revision("head", head, start_folder) as now,
    ):
        yield before, now


def verdict_and_reason(report: Any, allow_missing: bool) -> tuple[CommandVerdict, str]:
    if report.refusal:
        return CommandVerdict.CANNOT_DECIDE, f"Cannot decide: {report.refusal}."
    missing = 0 if allow_missing else report.count_verdicts(ComparisonVerdict.MISSING)
    if report.count_verdicts(ComparisonVerdict.WORSE):
        return CommandVerdict.REGRESSED, "Regressed."
    if report.unsteady:
        return (
            CommandVerdict.CANNOT_DECIDE,
            "Cannot decide: the GPU is unsteady; `nvidia-smi -lgc` locks its clock.",
        )
    if missing:
        return (
            CommandVerdict.CANNOT_DECIDE,
            f"Cannot decide: the head lacks {count_of(missing, 'benchmark')}; see --allow-missing.",
        )
    if report.broken_benchmarks:
        broken = [c.benchmark for c in report.broken_benchmarks]
        count, names = count_of(len(broken), "benchmark"), ", ".join(list_first(broken, MAX_NAMED))
        return CommandVerdict.CANNOT_DECIDE, f"Cannot decide: {count} without a ratio: {names}."
    if report.is_empty:
        return CommandVerdict.CANNOT_DECIDE, "Cannot decide: no benchmark was decided."
    return CommandVerdict.PASSED, "Not regressed."


def write_perf_report(report: Any, record: Any, path: Path | None) -> None:
    """Writes the verdict, the shared noise, and every window of every process."""
    from ganbench.files import write_json

    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        processes = [process.record() for process in report.log]
        noises = {name: asdict(noise) for name, noise in report.noises.items()}
        write_json(path, {**record.to_json(), "shared_noise": noises, "processes": processes})


def append_perf_summary(report: Any, path: Path | None, record: Any) -> None:
    """Appends the Markdown table to a file, if one is given."""
    from ganbench.ci.performance.summary import perf_markdown

    if path is not None:
        append_text(path, perf_markdown(report, record.sentences, record.title))


def append_perf_history(report: Any, path: Path | None, device: str, revision: str) -> None:
    """Appends the values of the head to a file, if one is given."""
    if path is None:
        return
    from ganbench.ci.history.records import MeasuredAt, append_records
    from ganbench.ci.machine import describe_machine
    from ganbench.ci.performance.summary import perf_history_entries

    at = MeasuredAt.here(describe_machine(device), revision)
    append_records(path, perf_history_entries(report, at))
