"""The command line: `ganbench run | plan | status | measure | report | compare | list | show | floor | ...`.

Exit codes: 0 ok · 2 usage or suite error · 4 trials or a download failed · 5 internal error · 130 interrupted.
Modules that need torch are imported inside the commands that train: help and lists answer at once.
"""

import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from . import __version__
from .store import Busy, Damaged

USAGE, FAILED, INTERNAL, INTERRUPTED = 2, 4, 5, 130

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Which stabilization trick helps a GAN, where, by how much, and how surely.",
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

SuiteArgument = Annotated[
    str, typer.Argument(help="A suite file, or the name of one: bench, smoke.")
]
Results = Annotated[Path, typer.Option(help="The folder that holds the store and the tables.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
ProfileName = Annotated[
    str | None, typer.Option("--profile", help="A budget of the suite; the device chooses.")
]
SeedCount = Annotated[int | None, typer.Option("--seeds", min=1, help="In place of the suite's.")]
Override = Annotated[
    list[str] | None,
    typer.Option(
        "-o",
        metavar="KEY=VALUE",
        help="Override a key of the suite, e.g. -o budget.cpu.images=1000.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]
HERE = Path("results")
CHANGED = ("better", "worse", "fails more", "fails less")
CELL = ("data", "variant", "loss", "tricks", "plan")


def fail(message: str, code: int = USAGE) -> NoReturn:
    err.print(message, markup=False, soft_wrap=True)
    raise typer.Exit(code)


def answer(content: Any) -> None:
    """Prints JSON to standard output, and nothing else."""
    sys.stdout.write(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def suite_path(text: str) -> Path:
    """`suites/bench.toml` or, for short, `bench`."""
    path = Path(text)
    if path.exists() or path.suffix:
        return path
    shipped = Path(__file__).parent
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
    from .run import device_of
    from .suite import SuiteError, load_suite

    try:
        chosen = device_of(device)
        suite = load_suite(suite_path(text), overrides or [])
        name = suite.profile(profile, chosen)
        if seeds is not None:
            changes = [*(overrides or []), f"seeds={seeds}"]
            changes += [f"budget.{name}.seeds={seeds}"]
            suite = load_suite(suite_path(text), changes)
    except SuiteError as error:
        fail(str(error))
    return suite, name, chosen


@app.command()
def run(
    suite: SuiteArgument,
    results: Results = HERE,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0, help="Worker processes; 0 trains in this one. All CPUs, or 1 on a GPU."
        ),
    ] = None,
    device: Device = "auto",
    profile: ProfileName = None,
    seeds: SeedCount = None,
    override: Override = None,
    stale: Annotated[
        str, typer.Option(help="What to do with results that other code made: ask, reuse or rerun.")
    ] = "ask",
    as_json: Json = False,
) -> None:
    """Train, measure and compare every cell of a suite. What is finished already is kept."""
    from .data.base import Missing
    from .report.progress import Progress
    from .run import run as run_suite
    from .suite import SuiteError

    if stale not in ("ask", "reuse", "rerun"):
        fail(f"--stale is ask, reuse or rerun, not {stale!r}")
    declared, name, chosen = read_suite(suite, override, seeds, profile, device)
    console = err if as_json else out
    count = workers if workers is not None else default_workers(chosen)
    console.print(": ".join(filter(None, [declared.name, declared.about])), markup=False)
    try:
        results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"--results {results} cannot be written: {error.strerror}")
    with Progress(console) as progress:
        try:
            ran = run_suite(declared, name, chosen, results, count, progress.show, stale)  # type: ignore[arg-type]
        except (SuiteError, Missing, Damaged, Busy) as error:
            fail(str(error))
        except KeyboardInterrupt:
            again = shlex.join(["ganbench", *sys.argv[1:]])
            fail(f"Stopped; what was trained is kept. To go on: {again}", INTERRUPTED)
    if ran.replaced:
        console.print("The tables that were here were of another plan; its trials are kept.")
    end(ran, "trained", as_json)


def end(ran: Any, verb: str, as_json: bool) -> NoReturn:
    """Says what a run came to, and ends the program."""
    from .report.progress import clock
    from .report.terminal import show as show_leaderboard

    if as_json:
        answer(summary(ran))
    else:
        show_leaderboard(ran.frame, out)
        count = sum(s.state in ("done", "diverged") for s in ran.statuses)
        out.print(f"{count} trials {verb}, {ran.finished_before} kept, in {clock(ran.seconds)}.")
        for path in ran.files:
            out.print(f"  {path}", markup=False, soft_wrap=True)
    raise typer.Exit(told_failures(ran))


def default_workers(device: str) -> int:
    if device != "cpu":
        return 1
    count = getattr(os, "sched_getaffinity", None)
    return len(count(0)) if count else os.cpu_count() or 1


def told_failures(ran: Any) -> int:
    """Names what failed, with its log; the exit code."""
    failed = [s for s in ran.statuses if s.state in ("failed", "interrupted")]
    for status in failed:
        attempt = status.job.attempt()
        where = f" (log: {attempt.log})" if attempt and attempt.log.exists() else ""
        err.print(
            f"{status.state}: {status.job.trial.id[:16]}: {status.reason}{where}",
            markup=False,
            soft_wrap=True,
        )
    return FAILED if failed else 0


def summary(ran: Any) -> dict[str, Any]:
    """What a run came to, for programs."""
    from .report.words import findings

    outcomes: dict[str, int] = {}
    for status in ran.statuses:
        outcomes[status.state] = outcomes.get(status.state, 0) + 1
    return {
        "suite": ran.frame.attrs["plan"]["suite"],
        "kept": ran.finished_before,
        "outcomes": outcomes,
        "seconds": round(ran.seconds, 1),
        "findings": findings(ran.frame),
        "files": [str(path) for path in ran.files],
    }


@app.command()
def plan(
    suite: SuiteArgument,
    device: Device = "auto",
    profile: ProfileName = None,
    seeds: SeedCount = None,
    override: Override = None,
    workers: Annotated[int | None, typer.Option(min=1, help="For the estimate of time.")] = None,
    as_json: Json = False,
) -> None:
    """Say what a run would train: cells, what has no meaning and why, and about how long it takes."""
    from .data.base import Missing
    from .estimate import estimate
    from .planned import planned
    from .suite import cells

    declared, name, chosen = read_suite(suite, override, seeds, profile, device)
    try:
        found = planned(declared, name, chosen)
    except Missing as missing:
        fail(str(missing))
    kept, excluded = cells(declared)
    objections = {p.label(): p.objection for p in found if p.objection}
    trials = [p.trial for p in found if not p.objection]
    count = workers or default_workers(chosen)
    told = {
        "suite": declared.name,
        "profile": name,
        "device": chosen,
        "workers": count,
        "cells": [str(cell) for cell in kept if str(cell) not in objections],
        "not_applicable": objections,
        "excluded": {str(cell): reason for cell, reason in excluded},
        "aliases": [" = ".join(group) for group in aliases_of(declared)],
        "seeds": declared.seeds_of(name),
        "trials": len(trials),
        "seconds": round(estimate(trials, count), 1),
    }
    answer(told) if as_json else print_plan(told)


def aliases_of(suite: Any) -> list[tuple[str, ...]]:
    """Of the fractions among a suite's designs, which effects have the same runs."""
    from .designs import aliases

    fractions = [g.tricks for g in suite.grid if g.tricks.design == "fractional_factorial"]
    return [group for tricks in fractions for group in aliases(tricks.listed())]


def print_plan(told: dict[str, Any]) -> None:
    from .report.progress import clock

    lines = [f"  {cell}" for cell in told["cells"]]
    for what in ("not_applicable", "excluded"):
        name = what.replace("_", " ")
        lines += [f"{name}: {cell}: {reason}" for cell, reason in told[what].items()]
    lines += [f"not told apart: {group}" for group in told["aliases"]]
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)
    out.print(
        f"{len(told['cells'])} cells and {len(told['seeds'])} seeds, with untrained references "
        f"{told['trials']} trials; about {clock(told['seconds'])} with {told['workers']} worker(s) "
        f"on {told['device']}, profile {told['profile']}.",
        soft_wrap=True,
    )


@app.command()
def status(suite: SuiteArgument, results: Results = HERE, as_json: Json = False) -> None:
    """Say how far a suite's run is, from what its store holds."""
    frame = frame_of(suite, results)
    trials = frame[frame["trial"].notna()].drop_duplicates(
        ["trial", "seed", "variant", "loss", "tricks"]
    )
    counts = trials["outcome"].fillna("not run").value_counts().to_dict()
    failed = trials[trials["outcome"].isin(["failed", "diverged"])]
    reasons = {f"{cell_name(r._asdict())} / seed {r.seed}": r.reason for r in failed.itertuples()}
    if as_json:
        return answer({"trials": len(trials), "outcomes": counts, "reasons": reasons})
    out.print(f"{len(trials)} trials: " + ", ".join(f"{n} {o}" for o, n in counts.items()))
    for label, reason in reasons.items():
        out.print(f"  {label}: {reason}", markup=False, soft_wrap=True)
    return None


@app.command()
def measure(
    suite: SuiteArgument,
    protocol: Annotated[
        str, typer.Option(help="What values mean: torch-fidelity, 'ganbench(fakes=5000)', ...")
    ] = "",
    metrics: Annotated[
        str, typer.Option(help="Further metrics, with commas between them: density,coverage.")
    ] = "",
    results: Results = HERE,
    workers: Annotated[int | None, typer.Option(min=0, help="Worker processes.")] = None,
    as_json: Json = False,
) -> None:
    """Measure what a run trained by further metrics or another protocol. Nothing is trained again."""
    from .data.base import Missing
    from .protocols import protocol_label
    from .remeasure import Request, remeasure
    from .report.progress import Progress
    from .spec import SpecError
    from .suite import SuiteError

    console = err if as_json else out
    count = default_workers("cpu") if workers is None else workers
    with Progress(console) as progress:
        try:
            request = Request(protocol_label(protocol) if protocol else "", metric_labels(metrics))
            ran = remeasure(folder_of(suite, results), request, count, progress.show)
        except (SpecError, SuiteError, Missing, Damaged, Busy) as error:
            fail(str(error))
        except KeyboardInterrupt:
            fail("Stopped; what was measured is kept.", INTERRUPTED)
    end(ran, "measured", as_json)


def metric_labels(text: str) -> tuple[str, ...]:
    """The metrics of a list with commas; those inside parentheses part nothing."""
    from .metrics import METRICS

    given = [part.strip() for part in re.split(r",(?![^(]*\))", text) if part.strip()]
    for part in given:
        METRICS.make(part)
    return tuple(map(METRICS.label, given))


@app.command()
def floor(
    data: Annotated[str, typer.Argument(help="A data set: digits, fashion_mnist.")],
    metrics: Annotated[str, typer.Option(help="Metrics, with commas between them.")] = "",
    protocol: Annotated[str, typer.Option(help="What values mean.")] = "ganbench",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Say what held-out data score in the place of fakes: what a perfect generator may hope for."""
    from .data.base import Missing
    from .evaluate import yardstick
    from .metrics import METRICS
    from .protocols import protocol_label
    from .report.floor import floor_table, floors
    from .run import device_of
    from .spec import SpecError
    from .suite import SuiteError
    from .trial import settle

    settle()
    try:
        chosen = metric_labels(metrics) or tuple(METRICS)
        measured = yardstick(data, device_of(device), protocol_label(protocol))
        found = floors(measured, chosen)
    except (SpecError, SuiteError, Missing) as error:
        fail(str(error))
    if as_json:
        return answer({"protocol": measured.protocol.record(), "floors": found})
    out.print(str(measured.protocol), markup=False, soft_wrap=True)
    return out.print(floor_table(found), markup=False)


@app.command()
def report(suite: SuiteArgument, results: Results = HERE, as_json: Json = False) -> None:
    """Make a suite's tables again, from its store or from results.parquet alone."""
    from .analysis.leaderboard import leaderboard
    from .report.files import write
    from .report.terminal import show as show_leaderboard
    from .report.words import findings
    from .store import Store

    frame, folder = frame_of(suite, results), folder_of(suite, results)
    files = write(frame, folder, Store(folder.parent) if has_store(folder) else None)
    if as_json:
        board = json.loads(leaderboard(frame).to_json(orient="records"))
        told = {"findings": findings(frame), "leaderboard": board}
        return answer({**told, "files": [str(path) for path in files]})
    show_leaderboard(frame, out)
    for path in files:
        out.print(f"  {path}", markup=False, soft_wrap=True)
    return None


@app.command()
def compare(
    before: Annotated[str, typer.Argument(help="A suite, or the folder of its tables.")],
    after: Annotated[str, typer.Argument(help="Another, or the same under another code.")],
    results: Results = HERE,
    metric: Annotated[list[str] | None, typer.Option(help="Only this; may be repeated.")] = None,
    margin: Annotated[
        float | None, typer.Option(help="The share within which a ratio counts as none.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare two tables cell by cell: better, worse, equivalent, undecided, new, missing, the same."""
    from .analysis.compare import as_frame, differences, overall, sentence, summary
    from .analysis.compare import compare as compare_frames
    from .spec import SpecError

    one, other = frame_of(before, results), frame_of(after, results)
    try:
        cells = compare_frames(one, other, margin, metric)
        means = overall(one, other, margin, metric)
    except SpecError as error:
        fail(str(error))
    told = {
        "summary": summary(cells),
        "overall": list(map(sentence, means)),
        "changed": [sentence(c) for c in cells if c.verdict in CHANGED],
        "differences": differences(one, other),
    }
    if as_json:
        rows = json.loads(as_frame([*means, *cells]).to_json(orient="records"))
        return answer({**told, "comparisons": rows})
    for heading in ("differences", "changed", "overall", "summary"):
        for line in told[heading]:
            out.print(line, markup=False, soft_wrap=True, style="bold" * (heading == "summary"))
    return None


def folder_of(suite: str, results: Path) -> Path:
    """Where a suite's tables lie: `bench`, `suites/bench.toml` or the folder itself."""
    given = Path(suite)
    if (given / "results.parquet").exists() or (given / "plan.json").exists():
        return given
    return results / given.stem


def cell_name(row: dict[str, Any]) -> str:
    return " / ".join(filter(None, (row[key] for key in CELL)))


def frame_of(suite: str, results: Path) -> Any:
    """The rows of a suite that was run, or is running: from its store, or else from its tables."""
    from .analysis.rows import load, rows
    from .store import Store, read_json

    folder = folder_of(suite, results)
    try:
        found = read_json(folder / "plan.json")
        if found and has_store(folder):
            return rows(found, Store(folder.parent))
        return load(folder)
    except FileNotFoundError:
        fail(f"{folder} holds no run: `ganbench run {suite}` makes one")
    except (Damaged, ValueError) as error:
        fail(str(error))


def has_store(folder: Path) -> bool:
    """Does the store that a suite's tables were made from lie beside them? Published ones have none."""
    return (folder.parent / "trials").exists()


@app.command("list")
def list_parts(
    kind: Annotated[
        str | None, typer.Argument(help="data, variants, losses, tricks, metrics, ...")
    ] = None,
    as_json: Json = False,
) -> None:
    """List what suites can name, with settings and their defaults."""
    from .listing import KINDS, listing
    from .spec import nearest

    if kind is not None and kind not in KINDS:
        fail(f"there is no list of {kind!r}{nearest(kind, KINDS)}")
    found = {name: listing(name) for name in ([kind] if kind else KINDS)}
    if as_json:
        return answer(found)
    for name, entries in found.items():
        table = Table(
            title=name, title_justify="left", box=None, padding=(0, 2, 0, 0), show_header=False
        )
        for entry in entries:
            table.add_row(entry["spec"], entry["about"])
        out.print(table, markup=False)
        out.print()
    return None


@app.command()
def show(
    suite: SuiteArgument,
    cell: Annotated[str, typer.Argument(help="Words of a cell's name, or a trial's number.")],
    results: Results = HERE,
    as_json: Json = False,
) -> None:
    """Show one cell: its trials, outcomes, flags, values, and where its pictures and logs lie."""
    from .report.words import sentence
    from .store import Store

    frame = frame_of(suite, results)
    frame = frame[frame["trial"].notna()]
    names = (
        frame[["role", "data", "variant", "loss", "tricks", "plan", "trial"]]
        .fillna("")
        .agg(" ".join, axis=1)
    )
    chosen = frame[names.map(lambda name: all(word in name for word in cell.split()))]
    trials = chosen.drop_duplicates("trial")
    if trials.empty:
        fail(f"no cell of {suite} has all of {cell!r} in its name")
    store = Store(folder_of(suite, results).parent)
    found = [shown_trial(row, chosen, store) for row in trials.itertuples()]
    if as_json:
        return answer(found)
    for entry in found:
        out.print(
            f"{entry['trial']} · {entry['cell']} · seed {entry['seed']} · {entry['outcome']} {entry['reason']}",
            style="bold",
            markup=False,
        )
        if entry["flags"]:
            out.print(f"  {sentence(entry['flags'])}", markup=False)
        for metric in entry["metrics"]:
            out.print(f"  {metric_line(metric)}", markup=False, soft_wrap=True)
        out.print(f"  {entry['folder']}", markup=False, soft_wrap=True)
    return None


def shown_trial(row: Any, rows: Any, store: Any) -> dict[str, Any]:
    from .analysis.rows import flags_of

    ended = isinstance(row.outcome, str) and row.outcome != "done"
    own = rows[(rows["trial"] == row.trial) & (rows["checkpoint"] != "best")]
    own = own[own["kind"] != "curve"]
    return {
        "trial": row.trial,
        "cell": cell_name(row._asdict()),
        "role": row.role,
        "seed": int(row.seed),
        "outcome": row.outcome if isinstance(row.outcome, str) else "not run",
        "reason": row.reason if ended else "",
        "flags": flags_of(row),
        "metrics": [] if ended else list(map(shown_metric, own.to_dict("records"))),
        "folder": str(store.trial(row.trial).folder),
    }


def shown_metric(row: dict[Any, Any]) -> dict[str, Any]:
    """A value with its error and its floors, or why there is none; what is missing is null."""
    keys = ("metric", "value", "standard_error", "floor", "expected_floor", "fakes", "reason")
    return {key: None if row[key] != row[key] or row[key] is None else row[key] for key in keys}


def metric_line(told: dict[str, Any]) -> str:
    """`fid   4.21 ± 0.23   floor 1.07, by theory 1.34`, or the reason why there is no value."""
    if told["value"] is None:
        return f"{told['metric']:<26} {told['reason'] or 'not measured'}"
    line = f"{told['metric']:<26} {told['value']:.4g}"
    if told["standard_error"]:
        line += f" ± {told['standard_error']:.2g}"
    if told["floor"] is not None:
        line += f"   floor {told['floor']:.4g}"
    if told["expected_floor"] is not None:
        line += f", by theory {told['expected_floor']:.4g}"
    return line


@app.command()
def download(
    name: Annotated[str, typer.Argument(help="A data set, or an extractor: mnist, inception.")],
) -> None:
    """Download a data set or an extractor's weights. No other command downloads anything."""
    from .data import DATA
    from .data.place import Downloadable, root
    from .extractors import EXTRACTORS
    from .spec import nearest

    index = next((index for index in (DATA, EXTRACTORS) if name in index), None)
    if index is None:
        fail(f"no data set or extractor is called {name!r}{nearest(name, [*DATA, *EXTRACTORS])}")
    part = index.load(name)
    if not isinstance(part, Downloadable):
        return out.print(f"{name} needs no download.")
    try:
        part.download()
    except Exception as error:  # of the net, the disk, an archive, a package that is not there
        told = " ".join(str(error).split())
        fail(f"{name} could not be downloaded to {root()}: {told}", FAILED)
    return out.print(f"{name} is on this machine.")


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what of devices, packages, data and extractors is here, and what to do about the rest."""
    from .examination import examination

    found = examination()
    if as_json:
        answer(found)
    else:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for item in found:
            table.add_row("ok" if item["ok"] else "missing", item["what"], item["told"])
        out.print(table, markup=False)
    raise typer.Exit(0 if all(item["ok"] for item in found if item["needed"]) else FAILED)


def version(wanted: bool) -> None:
    if wanted:
        out.print(f"ganbench {__version__}")
        raise typer.Exit()


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of the program itself."""


def main() -> None:
    """The program. What nobody foresaw is told in a line, with a trace if GANBENCH_TRACE is set."""
    try:
        app()
    except KeyboardInterrupt:
        err.print("Stopped.")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:  # a full disk, a folder that cannot be written
        err.print(f"{error}", markup=False, soft_wrap=True)
        sys.exit(INTERNAL)
    except Exception as error:
        if os.environ.get("GANBENCH_TRACE"):
            raise
        err.print(f"internal error: {type(error).__name__}: {error}", markup=False, soft_wrap=True)
        err.print("GANBENCH_TRACE=1 shows where it came from.")
        sys.exit(INTERNAL)
