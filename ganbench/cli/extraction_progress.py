"""Progress of a feature extraction: a bar in a terminal, plain lines in a log."""

import time
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from .progress import format_clock

METRICS_PHASE = "metrics"
SECONDS_BETWEEN_LINES = 15.0


class ExtractionProgress:
    """Shows the images done in each phase, their rate and the time left."""

    def __init__(self, console: Console):
        self.console = console
        self.bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:9}"),
            BarColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self.tasks: dict[str, tuple[TaskID, float]] = {}
        self.printed = time.monotonic()

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self.bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.console.is_terminal:
            self.bars.stop()

    def show(self, phase: str, done: int, total: int) -> None:
        """Updates the view after a batch."""
        now = time.monotonic()
        if phase not in self.tasks:
            self.tasks[phase] = self.bars.add_task(phase, total=total, rate=""), now
        task, began = self.tasks[phase]
        is_metrics = phase.endswith(METRICS_PHASE)
        rate = "" if is_metrics else format_rate(done, total, now - began)
        self.bars.update(task, completed=done, rate=rate)
        if (
            not is_metrics
            and not self.console.is_terminal
            and now - self.printed > SECONDS_BETWEEN_LINES
        ):
            self.printed = now
            left = (now - began) / done * (total - done) if done else None
            self.console.print(f"{phase}: {rate} · {format_clock(left)} left", markup=False)


def format_rate(done: int, total: int, seconds: float) -> str:
    rate = f" · {done / seconds:,.0f} img/s" if seconds > 1 else ""
    return f"{done:,}/{total:,}{rate}"
