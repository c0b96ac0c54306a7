"""Progress while a suite runs: a live view in a terminal, a line a finished trial elsewhere."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ganbench.experiments.monitoring.trial_progress import TrialProgress

SECONDS_BETWEEN_LOG_LINES = (
    300.0  # seconds at most between two lines, so that nobody takes a log for dead
)
LAST_FAILURES_SHOWN = 3  # failures that are shown while others run
BAD_OUTCOMES = ("failed", "diverged")


class RunProgress:
    """Shows how far trials are: counts by outcome, a row a running trial, time left, the last failures."""

    def __init__(self, console: Console):
        self.console = console
        self.live = Live(console=console, refresh_per_second=4, transient=True)
        self.printed = time.monotonic()
        self.printed_trials: set[int] | None = None  # trials that have their line
        self.first: tuple[float, float] | None = (
            None  # when it was first looked at, and the share then
        )

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

    def show(self, sights: Sequence[TrialProgress], finished_before: int) -> None:
        """Called several times a second. What has ended at the first call has no line."""
        if self.first is None:
            self.first = time.monotonic(), done_share(sights)
        if self.console.is_terminal:
            self.live.update(self.render_view(sights, finished_before))
        else:
            self.print_lines(sights, finished_before)

    def print_lines(self, sights: Sequence[TrialProgress], finished_before: int) -> None:
        ended = {number for number, sight in enumerate(sights) if sight.has_ended}
        new = sorted(ended - self.printed_trials) if self.printed_trials is not None else []
        count = len(ended) - len(new) + finished_before
        for place, number in enumerate(new, count + 1):
            self.print(f"{place}/{len(sights) + finished_before} {format_ending(sights[number])}")
        self.printed_trials = ended
        if time.monotonic() - self.printed > SECONDS_BETWEEN_LOG_LINES:
            self.print(self.format_line(sights, finished_before))

    def print(self, line: str) -> None:
        self.printed = time.monotonic()
        self.console.print(line, markup=False, soft_wrap=True)

    def render_view(self, sights: Sequence[TrialProgress], finished_before: int = 0) -> Group:
        bar = Table.grid(expand=True)  # a bar by itself does not end its line
        bar.add_row(ProgressBar(total=1.0, completed=done_share(sights)))
        parts: list[RenderableType] = [Text(self.format_line(sights, finished_before)), bar]
        parts += [workers_table(found)] if (found := running_trials(sights)) else []
        bad = [sight for sight in sights if sight.state in BAD_OUTCOMES][-LAST_FAILURES_SHOWN:]
        parts += [
            Text(format_ending(s), style="red", no_wrap=True, overflow="ellipsis") for s in bad
        ]
        return Group(*parts)

    def format_line(self, sights: Sequence[TrialProgress], finished_before: int = 0) -> str:
        """`12/40 trials · 9 done · 1 diverged · 2 running · 3,456 img/s · 4:05 left`."""
        counts: dict[str, int] = {}
        for sight in sights:
            counts[sight.state] = counts.get(sight.state, 0) + 1
        ended = sum(sight.has_ended for sight in sights) + finished_before
        parts = [f"{ended}/{len(sights) + finished_before} trials"]
        parts += [f"{finished_before} kept"] if finished_before else []
        parts += [f"{n} {state}" for state, n in counts.items() if state != "waiting"]
        rate = sum(sight.rate for sight in running_trials(sights) if not sight.measuring)
        parts += [f"{rate:,.0f} img/s"] if rate else []
        parts += (
            [f"{format_clock(self.seconds_left(sights))} left"]
            if ended < len(sights) + finished_before
            else []
        )
        return " · ".join(parts)

    def seconds_left(self, sights: Sequence[TrialProgress]) -> float | None:
        """Seconds, by how far all trials have come since the first look."""
        began, at_first = self.first or (time.monotonic(), 0.0)
        now = done_share(sights)
        gained = now - at_first
        return (time.monotonic() - began) / gained * (1 - now) if gained > 0.01 else None


def workers_table(sights: Sequence[TrialProgress]) -> Table:
    """A row a running trial; a long name takes several lines."""
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(ratio=1)
    for _ in range(4):
        table.add_column(justify="right", no_wrap=True)
    for sight in sights:
        fid = "" if sight.fid is None else f"FID {sight.fid:.3g}"
        name = Text(sight.label, overflow="fold")
        if sight.measuring:
            table.add_row(name, "", "measuring", fid, "")
            continue
        rate, left = f"{sight.rate:,.0f} img/s", f"{format_clock(sight.seconds_left())} left"
        table.add_row(name, f"{sight.progress:.0%} step {sight.step:,}", rate, fid, left)
    return table


def done_share(sights: Sequence[TrialProgress]) -> float:
    """How much of all trials is done; every trial counts alike."""
    if not sights:
        return 1.0
    return sum(1.0 if sight.has_ended else sight.progress for sight in sights) / len(sights)


def running_trials(sights: Sequence[TrialProgress]) -> list[TrialProgress]:
    return [sight for sight in sights if sight.state == "running"]


def format_ending(sight: TrialProgress) -> str:
    """`done: digits / dcgan / hinge / none / seed 0: FID 4.2`, or the reason of another end."""
    fid = "" if sight.fid is None else f"FID {sight.fid:.3g}"
    result = " ".join(sight.reason.split()) or fid
    return ": ".join(filter(None, (sight.state, sight.label, result)))


def format_clock(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
        if minutes >= 60
        else f"{minutes}:{rest:02d}"
    )
