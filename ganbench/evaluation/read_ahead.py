"""Read-ahead: an iterator that a thread runs ahead of its receiver."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

T = TypeVar("T")


@contextmanager
def iter_in_background(produced: Iterator[T], depth: int) -> Iterator[Iterator[T]]:
    """Yields an iterator that a thread runs ahead by at most `depth` values."""
    ahead = ReadAhead(produced, depth)
    ahead.thread.start()
    try:
        yield ahead.receive()
    finally:
        ahead.stopped.set()
        ahead.thread.join()


class EndOfStream:
    """The last entry of the queue, with the error that ended the iterator, if any."""

    def __init__(self, error: BaseException | None = None):
        self.error = error


class ReadAhead(Generic[T]):
    """Runs an iterator in a thread and passes its values through a queue."""

    def __init__(self, produced: Iterator[T], depth: int):
        self.produced = produced
        self.queue: queue.Queue[T | EndOfStream] = queue.Queue(depth)
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.produce, daemon=True)

    def produce(self) -> None:
        """Runs in the thread: puts all values and the end; returns early once stopped."""
        try:
            for value in self.produced:
                self.put(value)
                if self.stopped.is_set():
                    return
            self.put(EndOfStream())
        except BaseException as error:
            self.put(EndOfStream(error))

    def put(self, entry: T | EndOfStream) -> None:
        """Waits for room in the queue, unless the receiver has stopped."""
        is_put = False
        while not is_put and not self.stopped.is_set():
            with suppress(queue.Full):
                self.queue.put(entry, timeout=0.1)
                is_put = True

    def receive(self) -> Iterator[T]:
        """Yields the values in order; raises the iterator's error."""
        while not isinstance(entry := self.queue.get(), EndOfStream):
            yield entry
        if entry.error is not None:
            raise entry.error
