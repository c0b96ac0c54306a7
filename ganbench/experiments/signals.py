"""Signals that end a run.

A terminal sends them to all processes, but only the runner handles them.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection, parent_process
from types import FrameType
from typing import NoReturn

HANGUP = getattr(signal, "SIGHUP", signal.SIGINT)  # of a terminal that closes; not on Windows
RUNNER_SIGNALS = {signal.SIGINT, HANGUP}


def handle_stop_signals() -> None:
    """Makes SIGTERM (of batch systems) and SIGHUP stop the program like Ctrl-C.

    SIGHUP stays ignored under nohup.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    terminals = [stream for stream in (1, 2) if os.isatty(stream)]

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        drop_output(terminals)
        raise KeyboardInterrupt

    if HANGUP != signal.SIGINT and signal.getsignal(HANGUP) != signal.SIG_IGN:
        signal.signal(HANGUP, stop)


def drop_output(streams: list[int]) -> None:
    """Drops further output to a terminal that has closed, where each write would fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(nowhere, stream)
    os.close(nowhere)


def end_with_parent_process() -> None:
    """Ends this process, which multiprocessing started, at once when its parent dies."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    if (parent := parent_process()) is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


@contextmanager
def defer_ctrl_c() -> Iterator[None]:
    """Delays SIGINT and SIGHUP until the context ends.

    Threads and processes that start inside inherit the block and never receive these signals.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, RUNNER_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def acknowledge_stop(announce: Callable[[], None]) -> Iterator[None]:
    """Calls a function at the first SIGINT or SIGTERM, before KeyboardInterrupt is raised.

    Workers may need seconds to stop, so the user sees at once that the signal arrived. Ignored signals
    stay ignored, such as those of background jobs.
    """
    if threading.current_thread() is not threading.main_thread():  # it receives no signals
        yield
        return
    announced: list[int] = []

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        if not announced:
            announced.append(number)
            with suppress(OSError, RuntimeError):  # a closed terminal; a print that is interrupted
                announce()
        raise KeyboardInterrupt

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: old for number, old in handlers.items() if old != signal.SIG_IGN}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
