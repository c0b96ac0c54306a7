"""Batches of examples that do not fit on a device, gathered on the host ahead of time.

One thread reads the rows of the next batches from memory or disk, into pinned memory for a GPU. The
training thread draws the indices and copies batches to the device, so order and bits are those of
examples on the device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .base import Examples

    StoredBatch = dict[str, tuple[Tensor, Examples]]  # indices and uint8 examples, by domain

BATCHES_AHEAD = 4  # that the thread gathers while the device trains


class HostBatches:
    """Gathers batches of examples in one thread, which ends with this object.

    Errors of the thread are raised by `get`.
    """

    def __init__(self, examples: Mapping[str, Examples], device: torch.device):
        self.examples, self.device = examples, device
        self.pending: dict[int, Future[StoredBatch]] = {}
        self.latest: tuple[int, StoredBatch] | None = None
        self.thread = ThreadPoolExecutor(1, "ganbench-batches")

    def get(self, number: int, batch_indices: Callable[[int], Mapping[str, Tensor]]) -> StoredBatch:
        """Returns a batch on the device, and begins to gather the batches after it."""
        if self.latest is None or self.latest[0] != number:
            self.request(range(number, number + 1 + BATCHES_AHEAD), batch_indices)
            self.latest = number, self.move(self.pending.pop(number).result())
        return self.latest[1]

    def request(self, wanted: range, batch_indices: Callable[[int], Mapping[str, Tensor]]) -> None:
        """Submits the wanted batches that are not pending, and cancels all others."""
        for other in self.pending.keys() - wanted:
            self.pending.pop(other).cancel()
        for number in wanted:
            if number not in self.pending:
                indices = batch_indices(number)
                self.pending[number] = self.thread.submit(
                    gather_examples, self.examples, indices, self.device.type == "cuda"
                )

    def gather(self, indices: Mapping[str, Tensor]) -> StoredBatch:
        """Returns the examples at these indices on the device, at once."""
        return self.move(gather_examples(self.examples, indices, self.device.type == "cuda"))

    def move(self, stored: StoredBatch) -> StoredBatch:
        """Copies a batch to the device; the copy of pinned memory is not waited for."""
        return {
            domain: (index.to(self.device, non_blocking=True), rows.to(self.device, True))
            for domain, (index, rows) in stored.items()
        }


def gather_examples(
    examples: Mapping[str, Examples], indices: Mapping[str, Tensor], pinned: bool
) -> StoredBatch:
    """Returns the examples at these indices on the host, by domain."""
    hosted = {domain: index.cpu() for domain, index in indices.items()}
    if pinned:
        hosted = {domain: index.pin_memory() for domain, index in hosted.items()}
    return {
        domain: (index, examples[domain].gather_on_host(index, pinned))
        for domain, index in hosted.items()
    }
