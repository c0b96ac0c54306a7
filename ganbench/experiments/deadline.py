"""The deadline of a run: running trials write their checkpoints shortly before it."""

import re
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from ganbench.errors import GanbenchError

from .durations import SECONDS_OF_UNIT
from .monitoring.trial_progress import TrialProgress

FORMS = "2h, 90min, 1h30min, a time of the day such as 02:30, or a date such as 2026-12-24T08:00"
MIN_NOTICE_SECONDS = 5.0  # before the deadline, for the checkpoints
NOTICE_MARGIN = 1.5  # times the longest wait for a trial that was seen so far


class DeadlineReached(KeyboardInterrupt):
    """The deadline of a run is near; executors stop as after Ctrl-C."""


class DeadlineNear(DeadlineReached):
    """The notice of a deadline; a run that stops already may ignore it."""


class BadDeadline(GanbenchError, ValueError):
    """A deadline that is no time, or that has passed."""


def parse_deadline(text: str, now: datetime | None = None) -> float:
    """Returns the time of a deadline in seconds since the epoch.

    Times without a zone are local; a time of the day is the next one. Raises BadDeadline.
    """
    now = (now or datetime.now()).astimezone()
    end = parse_duration_end(text, now) or parse_clock_time(text, now) or parse_date(text)
    if end is None:
        raise BadDeadline(f"--deadline {text!r} is no time: write {FORMS}")
    if end <= now:
        raise BadDeadline(f"--deadline {text!r} has passed: it is {now:%Y-%m-%d %H:%M}")
    return end.timestamp()


def parse_duration_end(text: str, now: datetime) -> datetime | None:
    """Returns the end of a duration such as `2h`, `90 min` or `1h30min`, or None."""
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*(h|min|s)\s*", text)
    if not parts or not re.fullmatch(r"\s*(\d+(?:\.\d+)?\s*(h|min|s)\s*)+", text):
        return None
    seconds = sum(float(count) * SECONDS_OF_UNIT[unit] for count, unit in parts)
    try:
        return now + timedelta(seconds=seconds)
    except OverflowError:
        raise BadDeadline(f"--deadline {text!r} is too far away") from None


def parse_clock_time(text: str, now: datetime) -> datetime | None:
    """Returns the next local time with this clock, such as `02:30`, or None.

    A naive time gets the offset of its own day, which may differ from today's.
    """
    clock = re.fullmatch(r"\s*([01]?\d|2[0-3]):([0-5]\d)\s*", text)
    if not clock:
        return None
    hour, minute = map(int, clock.groups())
    date = now.replace(hour=hour, minute=minute, second=0, microsecond=0, tzinfo=None)
    today = date.astimezone()
    return today if today > now else (date + timedelta(days=1)).astimezone()


def parse_date(text: str) -> datetime | None:
    """Returns the time of an ISO date, or None. A date without a zone is local."""
    try:
        date = datetime.fromisoformat(text.strip())
        return date if date.tzinfo else date.astimezone()
    except (ValueError, OverflowError):  # the latter at the first and the last day of all dates
        return None


class Deadline:
    """Stops a run in time, by DeadlineReached from its progress callback.

    It is raised shortly before the deadline, so that trials can write checkpoints or end their
    measurements. At the deadline it is raised once more, and executors end the trials that still run.
    The notice is as long as trials took so far from one chance to stop to the next.
    """

    def __init__(self, end: float, stops_within_trials: bool = True):
        self.end, self.stops_within_trials = end, stops_within_trials
        self.longest_notice = (end - time.time()) / 2
        self.longest_wait = 0.0
        self.since: dict[int, tuple[object, float]] = {}  # by trial: its last chance to stop
        self.warned = self.ended = False

    @property
    def notice(self) -> float:
        """Seconds before the deadline at which trials stop, at most half of the run's time."""
        wanted = MIN_NOTICE_SECONDS + NOTICE_MARGIN * self.longest_wait
        return min(wanted, self.longest_notice)

    def check(self, clock: Callable[[], float] = time.time) -> None:
        """Raises DeadlineNear at the notice, and DeadlineReached at the deadline."""
        now = clock()
        if now >= self.end and self.warned and not self.ended:
            self.ended = True
            raise DeadlineReached
        if now >= self.end - self.notice and not self.warned:
            self.warned = True
            raise DeadlineNear

    def observe(
        self, trials: Iterable[TrialProgress], clock: Callable[[], float] = time.time
    ) -> None:
        """Measures how long trials take from one chance to stop to the next."""
        now = clock()
        for number, trial in enumerate(trials):
            if trial.state != "running" and number not in self.since:
                continue
            stage = self.stage_of(trial)
            before, began = self.since.get(number, (stage, now))
            if before != stage:
                self.longest_wait = max(self.longest_wait, now - began)
                began = now
            self.since[number] = stage, began
            if trial.has_ended:
                del self.since[number]

    def stage_of(self, trial: TrialProgress) -> object:
        """Returns a value that changes at each chance to stop a trial."""
        if not self.stops_within_trials:
            return trial.state
        return trial.step, trial.measuring, trial.state
