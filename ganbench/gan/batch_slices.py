"""Slices of a batch: one of several processes computes as if it had the whole batch.

A process has rows rank · N to (rank + 1) · N of a batch of count · N rows. Outside of
`training_on_slice` a process has the whole batch, and every function here returns its argument or
the plain draw. All processes must call the functions in the same order, because they communicate.

The loss of a process is the mean over its rows, and gradients are averaged over the processes. A
term may therefore be a mean over rows of the slice. It may also be a function of the whole batch,
equal in all processes. Both have the gradient of one process with the whole batch.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class BatchSlice:
    """The place of a process: its rank, and the number of processes that share each batch."""

    rank: int = 0
    count: int = 1


WHOLE_BATCH = BatchSlice()
CURRENT_SLICE = ContextVar("CURRENT_SLICE", default=WHOLE_BATCH)


@contextmanager
def training_on_slice(place: BatchSlice) -> Iterator[None]:
    """Makes the functions of this module communicate, inside the context."""
    token = CURRENT_SLICE.set(place)
    try:
        yield
    finally:
        CURRENT_SLICE.reset(token)


def trains_alone() -> bool:
    """Returns whether this process has the whole batch."""
    return CURRENT_SLICE.get().count == 1


def count_whole_rows(rows: int) -> int:
    """Returns the number of rows of the whole batch, from those of a slice."""
    return rows * CURRENT_SLICE.get().count


def slice_rows(whole: Tensor, dim: int = 0) -> Tensor:
    """Returns this process's rows of a whole batch."""
    place = CURRENT_SLICE.get()
    return whole if place.count == 1 else whole.chunk(place.count, dim)[place.rank]


def draw_rows(
    draw: Callable[..., Tensor], size: Sequence[int], dim: int = 0, **options: Any
) -> Tensor:
    """Draws random numbers for the whole batch, and returns those of this process's rows.

    `size` is the shape for a slice, with the rows in dimension `dim`. `draw` is a function such as
    torch.rand, which gets the shape and the options.
    """
    if trains_alone():
        return draw(size, **options)
    whole = list(size)
    whole[dim] = count_whole_rows(whole[dim])
    return slice_rows(draw(whole, **options), dim)


def draw_normal_like(x: Tensor) -> Tensor:
    """Draws normal numbers in the shape of x, from torch's global generator, as layers do."""
    if trains_alone():
        return torch.randn_like(x)
    return draw_rows(torch.randn, x.shape, dtype=x.dtype, device=x.device)


class SumOverSlices(torch.autograd.Function):
    """The sum of a tensor over all processes. Its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.detach().clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return SumOverSlices.apply(gradient)  # so it can be differentiated again


def mean_over_slices(x: Tensor) -> Tensor:
    """Returns the mean of a tensor over all processes, equal in all of them; differentiable."""
    return x if trains_alone() else SumOverSlices.apply(x) / CURRENT_SLICE.get().count


def gather_rows(x: Tensor) -> Tensor:
    """Returns the whole batch, equal in all processes: [N, ...] => [count * N, ...].

    Differentiable any number of times, which torch's all_gather is not: each process adds its rows
    to zeros.
    """
    place = CURRENT_SLICE.get()
    if place.count == 1:
        return x
    none = torch.zeros_like(x)
    parts = [x if rank == place.rank else none for rank in range(place.count)]
    whole: Tensor = SumOverSlices.apply(torch.cat(parts))
    return whole


def mean_each_over_slices(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    """Returns the mean over all processes of each tensor, with one message for all of them."""
    if trains_alone():
        return tensors
    flat = mean_over_slices(torch.cat([x.flatten() for x in tensors]))
    parts = flat.split([x.numel() for x in tensors])
    return [part.view(x.shape) for part, x in zip(parts, tensors, strict=True)]
