"""Alternates windows with the process of the other side, on one core.

Cores and moments differ in speed by more than versions do, so both sides share them. The sides go first
alternately: base, head, head, base, and so on.
"""

import os
import select
from collections import defaultdict
from collections.abc import Collection

MAX_WAIT_SECONDS = 600.0  # for the other side; after it, windows no longer alternate
ALL_WINDOWS = 1 << 30  # sent for a benchmark that ended


class Alternation:
    """Each process sends the number of its finished windows through a pipe to the other."""

    def __init__(self, goes_first: bool, pipes: tuple[int, int] | None, core: int | None):
        self.goes_first, self.pipes, self.core = goes_first, pipes, core
        self.finished: dict[str, int] = defaultdict(int)  # windows of the other side
        self.benchmark, self.window, self.unread = "", 0, ""
        self.cores: Collection[int] = ()  # those that the process may use between windows

    def start(self, benchmark: str) -> None:
        self.benchmark, self.window = benchmark, 0
        self.pin()

    def await_turn(self) -> None:
        """Waits until the other side finished all windows before this one."""
        is_first = self.goes_first == (self.window % 2 == 0)
        self.await_windows(self.window if is_first else self.window + 1)

    def finish_window(self) -> None:
        self.window += 1
        self.send(self.benchmark, self.window)

    def await_windows(self, count: int) -> None:
        while self.pipes and self.finished[self.benchmark] < count:
            self.read()

    def read(self) -> None:
        """Reads what the other side finished; stops alternating if it ended or does not answer."""
        assert self.pipes
        ready, _, _ = select.select([self.pipes[0]], [], [], MAX_WAIT_SECONDS)
        got = os.read(self.pipes[0], 65536).decode() if ready else ""
        if not got:
            self.pipes = None
            return
        *lines, self.unread = (self.unread + got).split("\n")
        for line in lines:
            benchmark, _, count = line.rpartition("\t")
            self.finished[benchmark] = int(count)

    def send(self, benchmark: str, count: int = ALL_WINDOWS) -> None:
        """Sends the number of finished windows of a benchmark to the other side."""
        if not self.pipes:
            return
        try:
            os.write(self.pipes[1], f"{benchmark}\t{count}\n".encode())
        except BrokenPipeError:
            self.pipes = None

    def pin(self) -> None:
        """Moves the process to the core of this pair; building between windows may use all cores."""
        if self.core is not None:
            self.cores = os.sched_getaffinity(0)
            os.sched_setaffinity(0, {self.core})

    def unpin(self) -> None:
        if self.cores:
            os.sched_setaffinity(0, self.cores)
