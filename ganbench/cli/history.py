"""The commands `history show` and `history backfill`: trends, and values of old commits."""

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from ganbench.files import write_bytes, write_json
from ganbench.registry import suggest

from .base import FAILED, app, err, fail, out
from .interruption import KEPT_MEASUREMENTS, explained_ctrl_c, parse_time_option
from .options import BenchmarkWords, Device, Instructions, Json, refuse_special_file
from .streams import print_json

if TYPE_CHECKING:
    from rich.table import Table

    from ganbench.ci.history.records import HistoryFile
    from ganbench.ci.history.series import Series


class HistoryGroup(TyperGroup):
    """Shows a file if no command is given: `history FILE` is `history show FILE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args[:1] != ["--help"] and not set(args[:1]) & set(self.commands):
            args = ["show", *args]
        return super().parse_args(ctx, args)


app.add_typer(
    history := typer.Typer(
        cls=HistoryGroup,
        help="Show recorded trends, or measure old commits. `history FILE` shows a file.",
    ),
    name="history",
)


@history.command()
def show(
    file: Annotated[Path, typer.Argument(help="History file of JSON lines.")],
    benchmark: Annotated[
        list[str] | None, typer.Option(help="Part of a benchmark's name; repeatable.")
    ] = None,
    machine: Annotated[str, typer.Option(help="Part of a machine class's name.")] = "",
    page: Annotated[
        Path | None,
        typer.Option(
            callback=refuse_special_file, help="Write an HTML page with one plot per series."
        ),
    ] = None,
    export: Annotated[str, typer.Option(help="Export format: bencher or pytest-benchmark.")] = "",
    to: Annotated[
        Path | None, typer.Option("--out", callback=refuse_special_file, help="File of the export.")
    ] = None,
    acknowledge: Annotated[
        str, typer.Option(metavar="BENCHMARK@REVISION", help="Acknowledge a change of level.")
    ] = "",
    reason: Annotated[str, typer.Option(help="Reason of the acknowledgement.")] = "",
    as_json: Json = False,
) -> None:
    """Show trends of recorded measurements.

    Lists the revisions at which a level changed. This is no gate: the exit code is 0.
    """
    wanted = HistorySelection(file, benchmark or [], machine)
    check_history_options(export, to, acknowledge, reason.strip())
    if acknowledge:
        append_acknowledgement(wanted, acknowledge, reason.strip())
    found, notes = wanted.selected_series()
    if page:
        write_history_page(page, found, notes)
    if export and to:
        write_history_export(export, to, found)
    if as_json:
        return print_json({"series": list(map(series_record, found)), "notes": notes})
    return print_history(found, notes)


@history.command()
def backfill(
    file: Annotated[Path, typer.Argument(help="History file of JSON lines.")],
    commits: Annotated[
        str, typer.Option(metavar="A..B", help="Commits after A up to B, along first parents.")
    ],
    every: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Measure every N-th commit only.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Measure N evenly spaced commits.")
    ] = None,
    only: BenchmarkWords = None,
    instructions: Instructions = None,
    times: Annotated[
        bool, typer.Option("--times", help="Time benchmarks too, on today's machine.")
    ] = False,
    limit: Annotated[
        str,
        typer.Option("--time", metavar="TIME", help="Begin no commit after: 90 s, 5 min or 2 h."),
    ] = "",
    retry: Annotated[
        bool, typer.Option("--retry", help="Try again what could not be measured.")
    ] = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure old commits and append their values.

    Counts and instructions are measured from the sources of each commit, in fresh processes. The series
    place them by commit. Commits in the file are skipped, so the same command goes on after a stop. Exit
    code 4: no commit could be measured.
    """
    from ganbench.ci.bisect.commits import list_range
    from ganbench.ci.history.backfill import Backfill, choose_commits

    from .perf import require_usable_device

    if every and sample:
        fail("give one of --every and --sample")
    chosen = choose_commits(list_range(commits, Path.cwd()), every, sample)
    rules = backfill_rules(require_usable_device(device), instructions, times, limit)
    rules = replace(rules, words=tuple(only or ()), retry=retry)
    with explained_ctrl_c(KEPT_MEASUREMENTS):
        result = Backfill(file, chosen, rules, Path.cwd(), err.print_line).run()
    if as_json:
        print_json({"file": str(file), **asdict(result)})
    else:
        out.print_line(result.sentence())
    raise typer.Exit(FAILED if result.is_empty else 0)


def backfill_rules(device: str, instructions: bool | None, times: bool, limit: str) -> Any:
    """Returns the kinds of work on each commit; prints why instructions are not counted."""
    from ganbench.ci.history.backfill import WORKS, BackfillRules

    from .perf import limit_of_counting

    seconds, uncounted = limit_of_counting(instructions, device)
    if uncounted:
        err.print_line(f"Instructions are not counted: {uncounted}.")
    wanted = {"counts": True, "instructions": seconds > 0, "times": times}
    works = tuple(work for work in WORKS if wanted[work])
    return BackfillRules(
        works, device=device, seconds=parse_time_option(limit), counting_seconds=seconds
    )


@dataclass(frozen=True)
class HistorySelection:
    """A history file and the chosen benchmarks and machines."""

    file: Path
    benchmarks: list[str]
    machine: str

    def read_history(self) -> "HistoryFile":
        from ganbench.ci.history.records import read_history

        if not self.file.is_file():
            fail(
                f"there is no file {self.file}: `ganbench gate` and `perf` append to it by --history, "
                "and `ganbench history backfill` measures old commits"
            )
        return read_history(self.file)

    def selected_series(self) -> tuple[list["Series"], list[str]]:
        """Returns the chosen series, and notes on lines that could not be read."""
        from ganbench.ci.history.change_points import DetectorNotInstalled
        from ganbench.ci.history.series import make_series

        read = self.read_history()
        notes = list(read.notes)
        try:
            all_series = make_series(read)
        except DetectorNotInstalled as error:
            all_series = make_series(read, find=False)
            notes.append(str(error))
        return self.choose_series(all_series), notes

    def choose_series(self, all_series: list["Series"]) -> list["Series"]:
        """Chooses series by name; raises for a text that no name contains, as it may be misspelt."""
        if not all_series:
            fail(f"{self.file} holds no measurement")
        for text in self.benchmarks:
            require_name(text, (each.benchmark for each in all_series), "benchmark")
        require_name(self.machine, (each.machine for each in all_series), "machine")
        texts = self.benchmarks or [""]
        chosen = [
            each
            for each in all_series
            if self.machine.lower() in each.machine.lower()
            and any(text.lower() in each.benchmark.lower() for text in texts)
        ]
        return chosen or fail("none of these benchmarks was measured on such a machine")


def require_name(text: str, names: Iterable[str], kind: str) -> None:
    available = set(names)
    if not any(text.lower() in name.lower() for name in available):
        fail(f"no {kind} has {text!r} in its name{suggest(text, available)}")


def check_history_options(export: str, to: Path | None, acknowledge: str, reason: str) -> None:
    """Ends the program at an unknown export, or at one option of a pair."""
    from ganbench.ci.history.export import EXPORT_FORMATS

    if export and export not in EXPORT_FORMATS:
        fail(f"no export format is called {export!r}{suggest(export, EXPORT_FORMATS)}")
    if bool(export) != bool(to):
        fail("--export and --out belong together: format and file")
    if bool(acknowledge) != bool(reason):
        fail("--acknowledge and --reason belong together: change and reason")


def append_acknowledgement(wanted: HistorySelection, change: str, reason: str) -> None:
    """Appends an acknowledgement for each machine with this benchmark and revision."""
    from ganbench.ci.history.records import Acknowledgement, append_records

    benchmark, at, revision = change.rpartition("@")
    if not at:
        fail(f"{change!r} has no revision: write BENCHMARK@REVISION")
    entries = wanted.read_history().entries
    benchmarks = {entry.benchmark for entry in entries}
    if benchmark not in benchmarks:
        fail(f"no benchmark is called {benchmark!r}{suggest(benchmark, benchmarks)}")
    own = [
        e
        for e in entries
        if e.benchmark == benchmark and wanted.machine.lower() in e.machine.lower()
    ]
    machines = sorted({entry.machine for entry in own if entry.revision == revision})
    if not machines:
        revisions = {entry.revision for entry in own}
        fail(f"{benchmark!r} was not measured at {revision!r}{suggest(revision, revisions)}")
    about = (Acknowledgement(benchmark, m, revision, reason, time.time()) for m in machines)
    append_records(wanted.file, about)


def write_history_page(path: Path, found: list["Series"], notes: list[str]) -> None:
    from ganbench.ci.history.page import render_history_page

    write_bytes(path, render_history_page(found, notes).encode())
    err.print_line(f"  {path}")


def write_history_export(form: str, path: Path, found: list["Series"]) -> None:
    from ganbench.ci.history.export import EXPORT_FORMATS

    machines = sorted({each.machine for each in found})
    if len(machines) > 1:
        machine_names = "; ".join(machines)
        fail(f"{form} has no field for the machine: choose one by --machine: {machine_names}")
    try:
        write_json(path, EXPORT_FORMATS[form](found))
    except ValueError as error:
        fail(str(error))
    err.print_line(f"  {path}")


def series_record(series: "Series") -> dict[str, Any]:
    """Returns a series as JSON data."""
    levels = [{"start": a, "end": b, "median": value} for a, b, value in series.level_spans()]
    return {
        "benchmark": series.benchmark,
        "machine": series.machine,
        "values": series.values,
        "last": asdict(series.last_entry),
        "levels": levels,
        "changes": [asdict(change) for change in series.changes],
    }


def print_history(found: list["Series"], notes: list[str]) -> None:
    """Prints one table per machine, its change points and notes."""
    from ganbench.ci.history.summary import TREND_CAUTION, format_change, strip_control_characters

    for machine in dict.fromkeys(each.machine for each in found):
        own = [each for each in found if each.machine == machine]
        out.print_line(strip_control_characters(machine), style="bold")
        out.print(make_history_table(own))
        for each in own:
            for change in each.changes:
                line = f"{strip_control_characters(each.benchmark)}: {format_change(change, each.last_entry.unit)}"
                out.print_line(line)
        out.print()
    for note in (*notes, TREND_CAUTION):
        out.print_line(note, style="dim")


def make_history_table(found: list["Series"]) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    grid = Table(box=SIMPLE_HEAD, padding=(0, 1))
    grid.add_column("benchmark", overflow="fold")
    grid.add_column("trend", no_wrap=True)
    grid.add_column("last", justify="right", no_wrap=True)
    grid.add_column("change of level", no_wrap=True)
    for each in found:
        grid.add_row(*map(escape, history_cells(each)))
    return grid


def history_cells(series: "Series") -> tuple[str, ...]:
    """Returns benchmark, trend, last value, and the last change of level."""
    from ganbench.ci.history.summary import format_step, format_with_unit, strip_control_characters
    from ganbench.report.sparkline import draw_sparkline

    unit, change = series.last_entry.unit, series.changes[-1] if series.changes else None
    level = f"{change.verdict} {format_step(change, unit)}" if change else "none"
    course = draw_sparkline(series.values, 24)
    return (
        strip_control_characters(series.benchmark),
        course,
        format_with_unit(series.last_entry.value, unit),
        level,
    )
