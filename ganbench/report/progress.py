"""Progress while a suite runs: a live view in a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

BETWEEN_LINES = 15.0  # seconds, where lines are printed


class Progress:
    """Shows how far jobs are: counts by outcome, a row a running trial, time left."""

    def __init__(self, console: Console):
        self.console, self.before = console, 0
        self.began = time.monotonic()
        self.live = Live(console=console, refresh_per_second=4, transient=True)
        self.printed, self.told = self.began, 0

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.live.stop()

    def show(self, statuses: list[Any], finished_before: int) -> None:
        """Called several times a second."""
        self.before = finished_before
        failures = [s for s in statuses if s.state == "failed"]
        for status in failures[self.told :]:
            self.console.print(f"failed: {label(status)}: {status.reason}", markup=False)
        self.told = len(failures)
        if self.console.is_terminal:
            self.live.update(self.view(statuses))
        elif time.monotonic() - self.printed > BETWEEN_LINES:
            self.printed = time.monotonic()
            self.console.print(self.line(statuses), markup=False)

    def view(self, statuses: list[Any]) -> Group:
        bar = Table.grid(expand=True)  # a bar by itself does not end its line
        bar.add_row(ProgressBar(total=1.0, completed=self.share(statuses)))
        table = Table.grid(padding=(0, 2))
        for status in running(statuses):
            table.add_row(
                Text(label(status), overflow="ellipsis", no_wrap=True),
                f"{status.progress:4.0%}",
                f"{status.rate:,.0f} img/s",
                f"FID {status.fid:.3g}" if status.fid is not None else "",
            )
        return Group(Text(self.line(statuses)), bar, table)

    def line(self, statuses: list[Any]) -> str:
        counts: dict[str, int] = {}
        for status in statuses:
            counts[status.state] = counts.get(status.state, 0) + 1
        ended = sum(s.ended for s in statuses) + self.before
        parts = [f"{ended}/{len(statuses) + self.before} trials"]
        parts += [f"{n} {state}" for state, n in counts.items() if state not in ("waiting", "done")]
        rate = sum(s.rate for s in running(statuses))
        parts += [f"{rate:,.0f} img/s"] if rate else []
        parts += [f"{clock(self.left(statuses))} left"]
        return " · ".join(parts)

    def share(self, statuses: list[Any]) -> float:
        if not statuses:
            return 1.0
        return sum(1.0 if s.ended else s.progress for s in statuses) / len(statuses)

    def left(self, statuses: list[Any]) -> float | None:
        share, spent = self.share(statuses), time.monotonic() - self.began
        return spent / share * (1 - share) if share > 0.01 else None


def running(statuses: list[Any]) -> list[Any]:
    return [s for s in statuses if s.state == "running"]


def label(status: Any) -> str:
    trial = status.job.trial
    chain = " + ".join(trial.tricks) or ("none" if trial.budget.amount else "untrained")
    return f"{trial.data} / {trial.variant} / {trial.loss} / {chain} / seed {trial.seed}"


def clock(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
        if minutes >= 60
        else f"{minutes}:{rest:02d}"
    )
