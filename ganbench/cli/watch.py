"""The command that looks at a run from outside, `watch`, and the trackers that a run may be shown in."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from .base import HERE, Results, SuiteArgument, app, fail, folder_of, out

Trackers = Annotated[
    list[str] | None,
    typer.Option("--tracker", help="tensorboard, mlflow or wandb as well; may be repeated."),
]


def opened(texts: list[str] | None, suite: str, folder: Path, console: Console) -> Any:
    """The trackers of these specs; ends the program if one is unknown or not installed."""
    from ganbench.experiments.monitoring.tracking import Tracking
    from ganbench.experiments.trackers import TRACKERS

    found = {TRACKERS.label(text): TRACKERS.make(text) for text in texts or []}
    return Tracking(found, lambda told: console.print(told, markup=False)).open(suite, folder)


@app.command()
def watch(
    suite: SuiteArgument,
    results: Results = HERE,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
    page: Annotated[
        float, typer.Option(min=0, help="Seconds between two drawings of report.html; 0 is never.")
    ] = 60.0,
    tracker: Trackers = None,
) -> None:
    """Show a run that another process does, until it ends, and draw its page and tables again meanwhile.

    It learns of the run from the store alone, and disturbs nothing.
    """
    from ganbench.experiments.monitoring.watch import Watch
    from ganbench.report.live import Redraw

    from .progress import Progress

    folder = folder_of(suite, results)
    try:
        watched = Watch(folder)
    except FileNotFoundError:
        fail(f"{folder} holds no run: `ganbench run {suite}` makes one")
    tracking = opened(tracker, folder.name, folder, out)

    def tell(line: str) -> None:
        out.print(line, markup=False, soft_wrap=True)

    drawn = False
    with Progress(out) as progress, tracking, Redraw(folder, page, tell) as redraw:
        try:
            while True:
                over = watched.over()  # asked before the last look, so that this sees the end
                progress.show(watched.look(), 0)
                tracking.look(watched.sights)
                if over:
                    break
                redraw.look()
                time.sleep(every)
            drawn = redraw.end()
        except KeyboardInterrupt:
            pass  # who watches may go: the run goes on
    out.print(progress.line(watched.sights), markup=False)
    if drawn:
        out.print(f"  {folder / 'report.html'}", markup=False, soft_wrap=True)
