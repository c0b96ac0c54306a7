"""The time in which a runner watched its workers: limits of trials leave out its pauses."""

import time

MAX_SECONDS_BETWEEN_POLLS = 5.0  # a longer gap is a pause, as by Ctrl-Z


class WatchClock:
    """Counts seconds between polls, and of each pause `MAX_SECONDS_BETWEEN_POLLS` alone.

    It is monotonic, so a change of the system's time is no pause and costs no trial.
    """

    def __init__(self) -> None:
        self.seconds, self.last_poll = 0.0, time.monotonic()

    def advance(self) -> None:
        """Counts the time since the last poll."""
        now = time.monotonic()
        self.seconds += min(now - self.last_poll, MAX_SECONDS_BETWEEN_POLLS)
        self.last_poll = now
