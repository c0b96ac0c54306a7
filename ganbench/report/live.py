"""Redrawing: a suite's tables and page again and again while it runs, by a process that gives way to the run."""

import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from pathlib import Path

from pebble import ProcessPool

from ganbench.experiments.signals import defer_ctrl_c

NICE_INCREMENT = 10  # of what the run leaves of the CPU


class LiveReport(AbstractContextManager["LiveReport"]):
    """Draws, so many seconds after the last was drawn; 0 is never. Prints each error once."""

    def __init__(self, folder: Path, every: float, tell: Callable[[str], None]):
        self.folder, self.every, self.tell = folder, every, tell
        self.drawing: Future[None] | None = None
        self.drawn = 0.0
        self.reported_errors: set[str] = set()
        context = multiprocessing.get_context("spawn")
        self.pool = ProcessPool(max_workers=1, initializer=lower_priority, context=context)

    def __exit__(self, *error: object) -> None:
        self.pool.stop()
        self.pool.join()

    def refresh(self) -> None:
        """Draws while the run goes on, if it is time and nothing is being drawn."""
        if self.drawing and not self.drawing.done():
            self.drawn = time.monotonic()
            return
        self.print_drawing_error()
        if self.every and (not self.drawing or time.monotonic() - self.drawn >= self.every):
            self.schedule_drawing(over=False)

    def finish(self) -> bool:
        """Draws all that a report has, if the run was seen to go on; returns whether that was so."""
        if not self.drawing:
            return False
        self.print_drawing_error()
        self.schedule_drawing(over=True)
        self.print_drawing_error()
        return True

    def schedule_drawing(self, over: bool) -> None:
        with defer_ctrl_c():  # the process that draws inherits that it is not for it
            self.drawing = self.pool.schedule(draw_report, args=(str(self.folder), over))

    def print_drawing_error(self) -> None:
        """Waits for what is being drawn, and says why it could not be."""
        error = self.drawing.exception() if self.drawing else None
        if error and str(error) not in self.reported_errors:
            self.reported_errors.add(str(error))
            self.tell(f"The page is not drawn: {error}")


def lower_priority() -> None:
    """Once a process, before it imports what has threads."""
    os.nice(NICE_INCREMENT)
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def draw_report(folder: str, over: bool) -> None:
    """Writes what a suite's store says now; pictures that take long only when its run is over."""
    from ganbench.analysis.rows import collect_rows
    from ganbench.experiments.store import Store
    from ganbench.files import read_json

    from .writer import write_all, write_live

    suite_folder = Path(folder)
    store, plan = Store(suite_folder.parent), read_json(suite_folder / "plan.json")
    if plan is None:
        raise FileNotFoundError(f"{suite_folder / 'plan.json'} does not exist")
    frame = collect_rows(plan, store)
    if over:
        write_all(frame, suite_folder, store)
    else:
        write_live(frame, suite_folder, store)
