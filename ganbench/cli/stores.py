"""Commands on whole stores: `export`, `merge` and `clean`."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ganbench.counts import count_of, format_bytes

from .base import FAILED, app, err, fail, out
from .options import DEFAULT_RESULTS, Json, Results, refuse_long_names, refuse_special_file
from .streams import StreamConsole, print_json
from .trials import open_store

DIFFERENT = 1  # the exit code if two stores have different numbers of one trial
MAX_SHOWN_PATHS = 10  # of each kind


@app.command()
def export(
    suites: Annotated[
        list[str], typer.Argument(metavar="SUITE...", help="Suites, or folders of their tables.")
    ],
    to: Annotated[
        Path | None,
        typer.Option("--to", callback=refuse_special_file, help="Archive. Default: SUITE.tar.gz."),
    ] = None,
    records: Annotated[
        bool,
        typer.Option(
            "--records", help="Leave out generators, pictures and logs. Tables are kept whole."
        ),
    ] = False,
    results: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Write trials of suites to an archive.

    It has results, generators, values and logs, and no checkpoints. `ganbench merge` adds it to the
    store of another machine. With --records it has some kilobytes of each finished trial, and
    `ganbench run --known` counts these trials as done.
    """
    from ganbench.experiments.export_store import export_suites

    opened = [open_store(refuse_long_names(suite), results) for suite in suites]
    stores = {store.root.resolve(): store for store, _ in opened}
    if len(stores) > 1:
        fail("these suites are in several stores: export each store by itself")
    plans = list({plan["suite"]: plan for _, plan in opened}.values())
    target = to or Path(f"{plans[0]['suite']}.tar.gz")
    summary = export_suites(opened[0][0], plans, target, records)
    if as_json:
        return print_json({**vars(summary), "path": str(summary.path)})
    counts = f"{count_of(summary.trials, 'trial')}, {summary.finished:,} finished"
    line = f"{summary.path}: {counts}, {format_bytes(summary.bytes)}"
    return out.print_line(line)


@app.command()
def merge(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE...",
            help="Archives of `export`, folders of archives, or folders of stores.",
        ),
    ],
    results: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Merge trials of other machines into a store.

    Of a trial in both stores, the finished one counts, and values of metrics are united. If both
    finished with different numbers, ours is kept, both are named, and the exit code is 1. It is 4 if a
    trial is being trained here. A merge that was killed can be repeated.
    """
    summaries = merge_sources(sources, results)
    if as_json:
        print_json([vars(summary) for summary in summaries])
    else:
        for summary in summaries:
            print_merge(summary)
    if any(summary.differences for summary in summaries):
        raise typer.Exit(DIFFERENT)
    if any(summary.busy for summary in summaries):
        raise typer.Exit(FAILED)


def merge_sources(sources: Sequence[Path], results: Path) -> list[Any]:
    """Merges sources into a store, and returns a summary of each."""
    from ganbench.experiments.merge_stores import list_sources, merge_source

    try:
        found = [path for source in sources for path in list_sources(source)]
        return [merge_source(path, results) for path in found]
    except NotADirectoryError:
        fail(f"--results {results} is no folder")


def print_merge(summary: Any, console: StreamConsole = out) -> None:
    """Prints the counts of a merge, and the trials that need attention."""
    counts = f"{count_of(summary.added, 'trial')} added, {summary.completed:,} completed"
    line = f"{summary.source}: {counts}, {summary.kept:,} kept"
    console.print_line(line)
    for sentence in summary.differences:
        err.print_line(sentence)
    for trial in summary.busy:
        sentence = f"{trial}: a process trains it here; repeat the command after its end"
        err.print_line(sentence)


@app.command()
def clean(
    kinds: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KIND]...",
            help="temporary, checkpoints, attempts, trials, caches. Default: all but caches.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete; else only print.")] = False,
    results: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Find and delete files that no table needs.

    Without --yes they are only printed. Temporary files are those of killed processes; checkpoints and
    earlier attempts are those of finished trials; trials are those that no suite's plan names. A trial
    that is being run is kept.
    """
    from ganbench.experiments import clean_store
    from ganbench.registry import suggest

    for kind in kinds or ():
        if kind not in clean_store.KINDS:
            fail(f"no kind of files is called {kind!r}{suggest(kind, clean_store.KINDS)}")
    wanted = tuple(dict.fromkeys(kinds or clean_store.DEFAULT_KINDS))
    found = clean_store.find_leftovers(results, wanted)
    if yes:
        found = clean_store.drop_planned(results, found)
        busy = clean_store.delete_leftovers(found)
    else:
        busy = list(filter(clean_store.is_running, found))
    if as_json:
        return print_json(clean_entry(found, busy, yes))
    return print_leftovers([left for left in found if left not in busy], busy, yes)


def clean_entry(found: list[Any], busy: list[Any], deleted: bool) -> dict[str, Any]:
    free = [left for left in found if left not in busy]
    entries = [{"kind": left.kind, "path": str(left.path), "bytes": left.bytes} for left in free]
    return {"deleted": deleted, "files": entries, "running": [str(left.path) for left in busy]}


def print_leftovers(leftovers: list[Any], busy: list[Any], deleted: bool) -> None:
    """Prints counts and bytes by kind, with some paths."""
    from ganbench.experiments.clean_store import KINDS

    by_kind = defaultdict(list)
    for leftover in leftovers:
        by_kind[leftover.kind].append(leftover)
    for kind, same in by_kind.items():
        size = format_bytes(sum(leftover.bytes for leftover in same))
        out.print(f"{kind}: {len(same):,}, {size}: {KINDS[kind]}", markup=False)
        for leftover in same[:MAX_SHOWN_PATHS]:
            out.print_line(f"  {leftover.path}")
        if len(same) > MAX_SHOWN_PATHS:
            out.print(f"  and {len(same) - MAX_SHOWN_PATHS:,} more")
    if busy:
        out.print(f"{count_of(len(busy), 'entry', 'entries')} of running trials kept.")
    total = format_bytes(sum(leftover.bytes for leftover in leftovers))
    if not leftovers:
        out.print("Nothing to delete.")
    elif deleted:
        out.print(f"Deleted {total}.")
    else:
        out.print(f"Nothing was deleted. With --yes, {total} will be.")
