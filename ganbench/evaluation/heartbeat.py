"""Heartbeats: long loops over batches show a listener that they go on.

A trial that draws and measures many samples writes no other event for long. Without a heartbeat, the runner
would take it for one that hangs.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

SECONDS_BETWEEN_HEARTBEATS = 20.0

_listener: ContextVar[Callable[[], None] | None] = ContextVar("listener", default=None)


def send_heartbeat() -> None:
    """Calls the listener of this context, if there is one: the work goes on."""
    if listener := _listener.get():
        listener()


@contextmanager
def listening_to_heartbeats(
    listener: Callable[[], None], clock: Callable[[], float] = time.monotonic
) -> Iterator[None]:
    """Calls a listener at heartbeats, at most once in SECONDS_BETWEEN_HEARTBEATS."""
    last = clock()

    def call_seldom() -> None:
        nonlocal last
        if clock() - last >= SECONDS_BETWEEN_HEARTBEATS:
            last = clock()
            listener()

    token = _listener.set(call_seldom)
    try:
        yield
    finally:
        _listener.reset(token)
