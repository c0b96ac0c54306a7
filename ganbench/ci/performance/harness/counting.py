"""Exact counts of a computation: operators, newly allocated bytes, and peak bytes alive.

The counts of the same code on the same machine do not depend on its load, so they allow small margins.
"""

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True)
class OperatorCounts:
    operators: int
    allocated: int  # bytes of storages that operators allocated
    live: int  # peak of the allocated bytes alive at the same time


class OperatorCounter(TorchDispatchMode):
    """Counts every operator of this thread below autograd: forward, backward and optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self.operators = self.allocated = self.alive = self.live = 0

    def __torch_dispatch__(
        self, operator: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        given = {storage._cdata for storage in iter_storages((args, kwargs))}
        result = operator(*args, **kwargs)
        self.operators += 1
        fresh = {s._cdata: s for s in iter_storages(result) if s._cdata not in given}
        for storage in fresh.values():
            self.on_allocated(storage)
        return result

    def on_allocated(self, storage: torch.UntypedStorage) -> None:
        size = storage.nbytes()
        self.allocated += size
        self.alive += size
        self.live = max(self.live, self.alive)
        weakref.finalize(storage, self.on_freed, size).atexit = False

    def on_freed(self, size: int) -> None:
        self.alive -= size


def iter_storages(tree: Any) -> Iterator[torch.UntypedStorage]:
    for leaf in tree_leaves(tree):
        if isinstance(leaf, torch.Tensor) and leaf.layout == torch.strided:
            yield leaf.untyped_storage()


@contextmanager
def without_collection() -> Iterator[None]:
    """Disables garbage collection, because its timing, which frees tensors in cycles, varies."""
    gc.collect()
    gc.freeze()  # later collections skip what is alive now, and take no time
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def count_operators(work: Callable[[], object]) -> OperatorCounts:
    with without_collection(), OperatorCounter() as counter:
        work()
    return OperatorCounts(counter.operators, counter.allocated, counter.live)
