"""Blocks SIGINT: a terminal sends Ctrl-C to all processes, but only the runner handles it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def defer_ctrl_c() -> Iterator[None]:
    """Delays SIGINT until the context ends.

    Threads and processes that start inside inherit the block and never receive SIGINT.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
