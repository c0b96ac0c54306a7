"""The command `watch`, and the option that opens trackers."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from .base import app, fail, out
from .options import DEFAULT_RESULTS, Results, SuiteArgument
from .stored_results import no_run_sentence, suite_folder

Trackers = Annotated[
    list[str] | None,
    typer.Option("--tracker", help="Also log to tensorboard, mlflow or wandb."),
]


def open_trackers(texts: list[str] | None, suite: str, folder: Path, console: Console) -> Any:
    """Opens the named trackers; ends the program if one is unknown or not installed."""
    from ganbench.experiments.monitoring.tracking import TrackerGroup
    from ganbench.experiments.trackers import TRACKERS

    trackers = {TRACKERS.label(text): TRACKERS.make(text) for text in texts or []}
    return TrackerGroup(trackers, lambda line: console.print(line, markup=False)).open(
        suite, folder
    )


@app.command()
def watch(
    suite: SuiteArgument,
    results: Results = DEFAULT_RESULTS,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between refreshes.")] = 1.0,
    page: Annotated[float, typer.Option(min=0, help="Seconds between reports; 0: never.")] = 60.0,
    tracker: Trackers = None,
) -> None:
    """Follow a run of another process.

    The run may be on another machine that shares the disk. The report is written again every minute; the
    store is only read. The command ends with the run.
    """
    from ganbench.experiments.monitoring.watch import RunMonitor
    from ganbench.report.live import LiveReport

    from .progress import RunProgress

    folder = suite_folder(suite, results)
    try:
        watched = RunMonitor(folder)
    except FileNotFoundError:
        fail(no_run_sentence(suite, folder))
    tracking = open_trackers(tracker, folder.name, folder, out)

    drawn = False
    with RunProgress(out) as progress, tracking, LiveReport(folder, page, out.print_line) as redraw:
        try:
            while True:
                over = (
                    watched.is_over()
                )  # read before the last refresh, so that the refresh shows the end
                progress.show(watched.refresh(), 0)
                tracking.update(watched.trials)
                if over:
                    break
                redraw.refresh()
                time.sleep(every)
            drawn = redraw.finish()
        except KeyboardInterrupt:
            pass  # the run continues without its watcher
    out.print(progress.format_line(watched.trials), markup=False)
    if drawn:
        out.print_line(f"  {folder / 'report.html'}")
