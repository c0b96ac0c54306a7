"""Signals: Ctrl-C in a terminal is sent to all its processes, and some of them must not hear it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def defer_ctrl_c() -> Iterator[None]:
    """SIGINT waits until the end, and never reaches the threads and processes that begin inside."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
