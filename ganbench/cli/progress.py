"""Progress of a run: a live view in a terminal, and one line per finished trial in a log."""

import math
import time
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ganbench.counts import count_of, format_share
from ganbench.experiments.monitoring.trial_progress import TrialProgress
from ganbench.experiments.plan_names import LOST_OUTCOMES

MAX_SECONDS_BETWEEN_LINES = 300.0  # so that a quiet log does not seem dead
LAST_FAILURES_SHOWN = 3
BEST_ARMS_SHOWN = 3
LINES_PER_WORKER = 2  # of the view, as long names wrap
STOPPING = "Stopping, writing checkpoints. Press Ctrl-C again to stop now."
WRITING = "writing tables and page"
MIN_SHARE_GAINED = 0.01  # of a run, before its end is estimated
SECONDS_TO_SMOOTH = 60.0  # the time constant of the estimated end


class SteadyEnd:
    """The estimated end of a run, smoothed so that the time left counts down steadily."""

    def __init__(self) -> None:
        self.first: tuple[float, float] | None = None  # time and done share at the first call
        self.end: float | None = None
        self.updated = 0.0

    def update(self, share: float) -> None:
        """Updates the estimate from the share of the run that is done, in [0, 1]."""
        now = time.monotonic()
        began, before = self.first = self.first or (now, share)
        if share - before <= MIN_SHARE_GAINED:
            return
        estimate = now + (now - began) / (share - before) * (1 - share)
        weight = 1 - math.exp(-(now - self.updated) / SECONDS_TO_SMOOTH)
        self.end = estimate if self.end is None else self.end + weight * (estimate - self.end)
        self.updated = now

    def seconds_left(self) -> float | None:
        """Returns the seconds to the end, in steps that grow with them; None if unknown."""
        if self.end is None:
            return None
        seconds = max(0.0, self.end - time.monotonic())
        step = 60 if seconds >= 600 else 10 if seconds >= 60 else 1
        return round(seconds / step) * step


class RunProgress:
    """Shows counts by outcome, running trials, the time left, the best arms and failures."""

    def __init__(self, console: Console):
        self.console = console
        self.live = Live(console=console, refresh_per_second=4, transient=True)
        self.printed = time.monotonic()
        self.printed_trials: set[int] | None = None  # their numbers
        self.steady_end = SteadyEnd()
        self.shown: tuple[Sequence[TrialProgress], int] = ((), 0)
        self.phase = ""

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.live.stop()

    def show(self, trials: Sequence[TrialProgress], finished_before: int) -> None:
        """Updates the view, several times a second.

        Trials that ended before the first call have no line.
        """
        self.shown = trials, finished_before
        self.steady_end.update(done_share(trials))
        if self.console.is_terminal:
            self.live.update(self.render_view(trials, finished_before))
        else:
            self.print_lines(trials, finished_before)

    def show_phase(self, phase: str) -> None:
        """Shows in a terminal what happens before or after the training of trials."""
        self.phase = phase
        if self.console.is_terminal:
            self.live.update(self.render_view(*self.shown), refresh=True)

    def print_lines(self, trials: Sequence[TrialProgress], finished_before: int) -> None:
        ended = {number for number, trial_progress in enumerate(trials) if trial_progress.has_ended}
        new = sorted(ended - self.printed_trials) if self.printed_trials is not None else []
        count = len(ended) - len(new) + finished_before
        for place, number in enumerate(new, count + 1):
            self.print(f"{place}/{len(trials) + finished_before} {format_ending(trials[number])}")
        self.printed_trials = ended
        if time.monotonic() - self.printed > MAX_SECONDS_BETWEEN_LINES:
            self.print(self.format_line(trials, finished_before))

    def print_stopping(self) -> None:
        """Prints that a signal to stop has arrived."""
        self.print(STOPPING)

    def print(self, line: str) -> None:
        self.printed = time.monotonic()
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def render_view(self, trials: Sequence[TrialProgress], finished_before: int = 0) -> Group:
        bar = Table.grid(expand=True)  # a bar alone does not end its line
        bar.add_row(ProgressBar(total=1.0, completed=done_share(trials)))
        parts: list[RenderableType] = [Text(self.format_line(trials, finished_before)), bar]
        found = running_trials(trials)
        parts += [workers_table(found)] if found else []
        bad = [
            trial_progress for trial_progress in trials if trial_progress.state in LOST_OUTCOMES
        ][-LAST_FAILURES_SHOWN:]
        room = self.console.height - LINES_PER_WORKER * len(found) - len(bad) - 4
        best = best_arm_lines(trials)[: max(0, room)]
        parts += [Text(line, no_wrap=True, overflow="ellipsis") for line in best]
        parts += [
            Text(format_ending(s), style="red", no_wrap=True, overflow="ellipsis") for s in bad
        ]
        return Group(*parts)

    def format_line(self, trials: Sequence[TrialProgress], finished_before: int = 0) -> str:
        """Formats `12/40 trials · 9 done · 1 diverged · 2 running · 3,456 img/s · 4:05 left`."""
        counts: dict[str, int] = {}
        for trial_progress in trials:
            counts[trial_progress.state] = counts.get(trial_progress.state, 0) + 1
        ended = sum(trial_progress.has_ended for trial_progress in trials) + finished_before
        total = len(trials) + finished_before
        parts = [f"{ended}/{count_of(total, 'trial')}"] if total or not self.phase else []
        parts += [f"{finished_before} kept"] if finished_before else []
        parts += [f"{n} {state}" for state, n in counts.items() if state != "waiting"]
        rate = sum(
            trial_progress.rate
            for trial_progress in running_trials(trials)
            if not trial_progress.measuring
        )
        parts += [f"{rate:,.0f} img/s"] if rate else []
        left = self.steady_end.seconds_left()
        if left is not None and ended < total and not self.phase:
            parts.append(f"about {format_clock(left)} left")
        return " · ".join([*parts, *filter(None, [self.phase])])


def workers_table(trials: Sequence[TrialProgress]) -> Table:
    """Makes a table of running trials; long names wrap."""
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(ratio=1)
    for _ in range(4):
        table.add_column(justify="right", no_wrap=True)
    for trial_progress in trials:
        fid = format_curve_fid(trial_progress)
        name = Text(trial_progress.label, overflow="fold")
        if trial_progress.measuring:
            table.add_row(name, "", "measuring", fid, "")
            continue
        seconds = trial_progress.seconds_left()
        left = "" if seconds is None else f"{format_clock(seconds)} left"
        rate = f"{trial_progress.rate:,.0f} img/s" if trial_progress.rate else ""
        table.add_row(
            name,
            f"{format_share(trial_progress.progress)} step {trial_progress.step:,}",
            rate,
            fid,
            left,
        )
    return table


def done_share(trials: Sequence[TrialProgress]) -> float:
    """Returns the mean progress of all trials, in [0, 1]."""
    if not trials:
        return 1.0
    return sum(
        1.0 if trial_progress.has_ended else trial_progress.progress for trial_progress in trials
    ) / len(trials)


def running_trials(trials: Sequence[TrialProgress]) -> list[TrialProgress]:
    return [trial_progress for trial_progress in trials if trial_progress.state == "running"]


def best_arm_lines(trials: Sequence[TrialProgress]) -> list[str]:
    """Returns a head and the best three arms by the mean FID of the curves of their seeds.

    FIDs of several data sets are not comparable, so each of these has its best arm.
    """
    values = defaultdict(list)
    for trial in trials:
        if trial.state == "done" and trial.fid is not None:
            values[trial.label.rpartition(" / seed ")[0]].append(trial.fid)
    arms = sorted(values, key=lambda arm: fmean(values[arm]))
    sets = {arm.partition(" / ")[0] for arm in values}
    best = arms if len(sets) < 2 else [first_of_set(arms, name) for name in sorted(sets)]
    lines = [
        f"  {fmean(values[arm]):.3g} ({count_of(len(values[arm]), 'seed')}) {arm}"
        for arm in best[:BEST_ARMS_SHOWN]
    ]
    return ["best so far, by curve FID:", *lines] if lines else []


def first_of_set(arms: Sequence[str], data: str) -> str:
    return next(arm for arm in arms if arm.partition(" / ")[0] == data)


def format_ending(trial_progress: TrialProgress) -> str:
    """Formats `done: digits / dcgan / none: curve FID 4.2`, or the reason of a bad end."""
    result = " ".join(trial_progress.reason.split()) or format_curve_fid(trial_progress)
    return ": ".join(filter(None, (trial_progress.state, trial_progress.label, result)))


def format_curve_fid(trial_progress: TrialProgress) -> str:
    """Formats the last FID of the learning curve, whose samples are not the reported ones."""
    return "" if trial_progress.fid is None else f"curve FID {trial_progress.fid:.3g}"


def format_clock(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
        if minutes >= 60
        else f"{minutes}:{rest:02d}"
    )
