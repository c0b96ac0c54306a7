"""Live report: redraws a suite's tables and page in a low-priority process during a run."""

import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from pathlib import Path

from pebble import ProcessPool

from ganbench.experiments.signals import defer_ctrl_c

NICE_INCREMENT = 10  # lower priority than the run


class LiveReport(AbstractContextManager["LiveReport"]):
    """Redraws the report in another process, `every` seconds after the last drawing ended.

    With `every` = 0 it never draws. Each error is printed once, with the function passed at construction.
    """

    def __init__(self, folder: Path, every: float, print_line: Callable[[str], None]):
        self.folder, self.every, self.print_line = folder, every, print_line
        self.drawing: Future[None] | None = None
        self.drawn = 0.0
        self.reported_errors: set[str] = set()
        self.pool = make_pool()

    def __exit__(self, *error: object) -> None:
        self.pool.stop()
        self.pool.join()

    def refresh(self) -> None:
        """Starts a drawing during the run if one is due and none is in progress."""
        if self.drawing and not self.drawing.done():
            self.drawn = time.monotonic()
            return
        self.print_drawing_error()
        if self.every and (not self.drawing or time.monotonic() - self.drawn >= self.every):
            self.schedule_drawing(over=False)

    def finish(self) -> bool:
        """Draws the complete report if there was a drawing during the run.

        Returns whether it drew.
        """
        if not self.drawing:
            return False
        self.print_drawing_error()
        self.schedule_drawing(over=True)
        self.print_drawing_error()
        return True

    def schedule_drawing(self, over: bool) -> None:
        with defer_ctrl_c():  # the drawing process inherits the deferral
            if not self.pool.active:  # its process died before it began to draw
                self.pool = make_pool()
            self.drawing = self.pool.schedule(draw_report, args=(str(self.folder), over))

    def print_drawing_error(self) -> None:
        """Waits for the current drawing and prints its error, if it is new."""
        error = self.drawing.exception() if self.drawing else None
        if error and str(error) not in self.reported_errors:
            self.reported_errors.add(str(error))
            self.print_line(f"The page could not be drawn: {error}")


def make_pool() -> ProcessPool:
    context = multiprocessing.get_context("spawn")
    return ProcessPool(max_workers=1, initializer=lower_priority, context=context)


def lower_priority() -> None:
    """Lowers the priority of the process, before it imports libraries that start threads."""
    os.nice(NICE_INCREMENT)
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def draw_report(folder: str, over: bool) -> None:
    """Writes the report from the current content of a suite's store.

    With `over`, it also writes the figures and pictures that take long.
    """
    from ganbench.analysis.rows import collect_rows
    from ganbench.experiments.store import Store, read_plan

    from .writer import write_files, write_live

    suite_folder = Path(folder)
    store, plan = Store(suite_folder.parent), read_plan(suite_folder)
    if plan is None:
        raise FileNotFoundError(f"{suite_folder / 'plan.json'} does not exist")
    frame = collect_rows(plan, store)
    if over:
        write_files(frame, suite_folder, store)
    else:
        write_live(frame, suite_folder, store)
