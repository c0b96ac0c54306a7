"""The deadline of a run: its texts, and when it stops trials."""

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from ganbench.experiments.deadline import (
    MIN_NOTICE_SECONDS,
    BadDeadline,
    Deadline,
    DeadlineReached,
    parse_deadline,
)
from ganbench.experiments.monitoring.trial_progress import TrialProgress

NOON = datetime(2026, 11, 27, 12, 0, tzinfo=timezone(timedelta(hours=2)))


@pytest.fixture
def local_zone(monkeypatch):
    """Returns a function that sets the local time zone of this test."""
    if not hasattr(time, "tzset"):
        pytest.skip("no time zones of the C library")

    def set_zone(text):
        monkeypatch.setenv("TZ", text)
        time.tzset()

    yield set_zone
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("2h", NOON + timedelta(hours=2)),
        ("90 min", NOON + timedelta(minutes=90)),
        ("1h30min", NOON + timedelta(minutes=90)),
        ("45s", NOON + timedelta(seconds=45)),
        ("1.5 h", NOON + timedelta(minutes=90)),
        ("13:30", NOON + timedelta(minutes=90)),
        ("02:30", NOON + timedelta(hours=14, minutes=30)),
        ("12:00", NOON + timedelta(days=1)),
        ("2026-11-28T08:00", NOON + timedelta(hours=20)),
        ("2026-11-27T11:00+00:00", NOON + timedelta(hours=1)),
    ],
)
def test_texts_give_their_time(local_zone, text, end):
    local_zone("EET-2")
    assert parse_deadline(text, NOON) == end.timestamp()


@pytest.mark.parametrize(("text", "hours"), [("2026-12-24T08:00", 1_461), ("08:00", 21)])
def test_local_times_have_the_offset_of_their_day(local_zone, text, hours):
    """The clock goes back by an hour in the night after this day."""
    local_zone("CET-1CEST,M3.5.0,M10.5.0")
    now = datetime(2026, 10, 24, 12, 0).astimezone()
    assert parse_deadline(text, now) - now.timestamp() == hours * 3600


def test_clock_of_a_time_in_another_zone_is_local(local_zone):
    local_zone("EET-2")
    now = datetime(2026, 11, 27, 23, 0, tzinfo=UTC)  # 01:00 of the next day here
    assert parse_deadline("02:30", now) - now.timestamp() == 90 * 60


@pytest.mark.parametrize(
    "text", ["soon", "25:00", "2", "2h or so", "2026-13-01", "-2h", "2 d", "0001-01-01"]
)
def test_other_texts_name_the_forms(text):
    with pytest.raises(BadDeadline, match="is no time: write 2h, 90min, 1h30min"):
        parse_deadline(text, NOON)


@pytest.mark.parametrize("text", ["2026-11-27T11:59", "0 s", "2020-01-01"])
def test_past_times_are_refused(local_zone, text):
    local_zone("EET-2")
    with pytest.raises(BadDeadline, match="has passed: it is 2026-11-27 12:00"):
        parse_deadline(text, NOON)


def test_endless_duration_is_refused():
    with pytest.raises(BadDeadline, match="too far away"):
        parse_deadline("99999999999h", NOON)


def raised_at(deadline, times):
    """Returns the times at which a deadline stops a run."""
    found = []
    for now in times:
        try:
            deadline.check(lambda now=now: now)
        except DeadlineReached:
            found.append(now)
    return found


def test_notice_comes_before_the_deadline():
    end = time.time() + 1000
    deadline = Deadline(end)
    times = [end - second for second in range(20, -5, -1)]
    assert raised_at(deadline, times) == [end - MIN_NOTICE_SECONDS, end]


def test_notice_covers_the_longest_wait():
    """A trial logged step 50 after 30 s, and was measured for 60 s."""
    end = time.time() + 1000
    deadline, trial = Deadline(end), TrialProgress(state="running")
    for now, step, measuring in [(0, 0, False), (30, 50, False), (31, 50, True)]:
        trial.step, trial.measuring = step, measuring
        deadline.observe([trial], lambda now=now: now)
    assert deadline.notice == MIN_NOTICE_SECONDS + 1.5 * 30
    trial.state = "done"
    deadline.observe([trial], lambda: 91)
    assert deadline.notice == MIN_NOTICE_SECONDS + 1.5 * 60


def test_waiting_trials_count_for_nothing():
    deadline, trial = Deadline(time.time() + 1000), TrialProgress()
    for now in (0, 500):
        deadline.observe([trial], lambda now=now: now)
    assert deadline.notice == MIN_NOTICE_SECONDS


def test_inline_trials_need_the_time_of_a_whole_trial():
    deadline = Deadline(time.time() + 1000, stops_within_trials=False)
    trial = TrialProgress(state="running")
    for now, step in [(0, 0), (30, 50), (60, 100)]:
        trial.step = step
        deadline.observe([trial], lambda now=now: now)
    trial.state = "done"
    deadline.observe([trial], lambda: 80)
    assert deadline.notice == MIN_NOTICE_SECONDS + 1.5 * 80


def test_notice_takes_at_most_half_of_the_time():
    deadline = Deadline(time.time() + 100)
    deadline.longest_wait = 1000
    assert deadline.notice == pytest.approx(50, abs=1)
