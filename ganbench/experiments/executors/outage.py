"""Outages: a network disk that fails for a while is waited for, but not forever."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

MAX_OUTAGE_SECONDS = 600.0


class Outage:
    """The errors of a file system in a row; the one after the limit is raised."""

    def __init__(self) -> None:
        self.began: float | None = None  # by the monotonic clock; None if the last use succeeded

    @contextmanager
    def tolerated(self) -> Iterator[None]:
        """Suppresses an OSError, unless they have lasted for longer than the limit."""
        try:
            yield
        except OSError:
            now = time.monotonic()
            self.began = now if self.began is None else self.began
            if now - self.began > MAX_OUTAGE_SECONDS:
                raise
        else:
            self.began = None
