"""The command `report`."""

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .base import app, out
from .options import DEFAULT_RESULTS, Json, Results, SuiteArgument
from .stored_results import has_store, read_frame, suite_folder
from .streams import print_json


@app.command()
def report(suite: SuiteArgument, results: Results = DEFAULT_RESULTS, as_json: Json = False) -> None:
    """Write tables and report of a suite again.

    They are made from the store, from results.parquet, or from results.csv with plan.json.
    """
    with rare_collections():
        write_and_print(suite, results, as_json)


@contextmanager
def rare_collections() -> Iterator[None]:
    """Collects cyclic garbage less often: imports and figures make much that stays, or little.

    Without this, the collector takes an eighth of the time of a report.
    """
    thresholds = gc.get_threshold()
    gc.set_threshold(100_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def write_and_print(suite: str, results: Path, as_json: bool) -> None:
    from ganbench.analysis.read_table import require_outcome
    from ganbench.experiments.store import Store
    from ganbench.report.terminal import print_report
    from ganbench.report.writer import main_files, write_files

    frame, folder = require_outcome(read_frame(suite, results)), suite_folder(suite, results)
    written = write_files(frame, folder, Store(folder.parent) if has_store(folder) else None)
    files = main_files(folder)
    if as_json:
        board = json.loads(written.board.to_json(orient="records"))
        content = {"findings": written.findings, "leaderboard": board}
        return print_json({**content, "files": [str(path) for path in files]})
    print_report(written, out)
    for path in files:
        out.print_line(f"  {path}")
    return None
