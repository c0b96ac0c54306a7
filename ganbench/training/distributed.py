"""Data parallelism (Goyal et al., 2017): several processes train on slices of each batch.

Every process draws the indices, latents and noise of the whole batch from the same streams, and
takes its rows. The gradients of a side are averaged after its backward pass and before the tricks
and the optimizer, with one `all_reduce` of all of them. So every process has the weights and the
optimizer state of one process that trains on the whole batch, up to rounding.

DistributedDataParallel and FSDP2 reduce gradients in hooks of one backward pass after one forward
pass of a wrapped module. A GAN's step calls parts of networks (features, heads) several times,
limits its backward pass to one side, and differentiates gradients by torch.autograd.grad. DDP does
not support this, and FSDP2's hooks would gather parameters in each of these passes. The price of
the plain `all_reduce` is that it does not overlap with the backward pass.

All processes have the averages of generators too, because batch norm in an average communicates.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ganbench.data.base import BatchLoader
from ganbench.errors import GanbenchError
from ganbench.gan.batch_slices import BatchSlice, mean_each_over_slices, training_on_slice
from ganbench.gan.build import Incompatible, TrainingSetup
from ganbench.gan.networks.batch_norm import use_whole_batch_statistics
from ganbench.rng import RngStreams

from .budget import Budget
from .distributable import slicing_obstacle
from .trainer import LossTerms, Trainer, read_terms

Announce = Callable[[str], None]  # the name of a method that all processes have to call

BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes of an element


class RanksDiffer(GanbenchError, RuntimeError):
    """The processes of a trial have different weights."""


class SlicedLoader(BatchLoader):
    """A loader of one process's rows of each batch, in the order of the whole batches."""

    def __init__(self, loader: BatchLoader, place: BatchSlice):
        super().__init__(loader.examples, loader.size, loader.streams)
        self.place = place

    def batch_indices(self, number: int) -> dict[str, Tensor]:
        """Returns the indices of this process's rows of batch `number`, by domain."""
        whole = super().batch_indices(number).items()
        return {name: index.chunk(self.place.count)[self.place.rank] for name, index in whole}


class DistributedTrainer(Trainer):
    """A trainer on a slice of each batch; all processes of torch's default group have one.

    `announce` is called with the name of each method that communicates, before it does. Raises
    Incompatible if a part does not work on slices.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        loader: BatchLoader,
        streams: RngStreams,
        budget: Budget,
        place: BatchSlice,
    ):
        if reason := slicing_obstacle(setup, place.count):
            raise Incompatible(reason)
        super().__init__(setup, SlicedLoader(loader, place), streams, budget)
        self.place = place
        self.announce: Announce = lambda method: None
        for part in (self.task, self.trick):
            use_whole_batch_statistics(part)

    def train_step(self) -> None:
        self.announce("train_step")
        with training_on_slice(self.place):
            super().train_step()

    def transform_gradients(self, side: str) -> None:
        """Averages the gradients of a side over the processes, then lets the tricks change them."""
        slopes = [x.grad for x in self.sides[side] if x.grad is not None]
        for slope, mean in zip(slopes, mean_each_over_slices(slopes), strict=True):
            slope.copy_(mean)
        super().transform_gradients(side)

    def flush(self) -> dict[str, float]:
        """Returns the means over steps and processes; raises Diverged in all of them.

        The used seconds are those of the first process, so that progress is equal in all.
        """
        self.announce("flush")
        with training_on_slice(self.place):
            return super().flush()

    def read_logs(self) -> list[dict[str, float]]:
        return read_terms(average_logs(self.logs))

    def update_seconds(self) -> None:
        super().update_seconds()
        seconds = torch.tensor(self.spent.seconds, dtype=torch.float64, device=self.streams.device)
        torch.distributed.broadcast(seconds, src=0)
        self.spent = replace(self.spent, seconds=seconds.item())

    def check_equal(self) -> None:
        """Raises RanksDiffer, in all processes, if they have different weights or states."""
        self.announce("check_equal")
        names, tensors = zip(*named_tensors(self.state_dict()), strict=True)
        sums = torch.stack([sum_bits(x).to(self.streams.device) for x in tensors])
        least, most = sums.clone(), sums.clone()
        torch.distributed.all_reduce(least, torch.distributed.ReduceOp.MIN)
        torch.distributed.all_reduce(most, torch.distributed.ReduceOp.MAX)
        if different := [
            name for name, x in zip(names, (least != most).tolist(), strict=True) if x
        ]:
            raise RanksDiffer(
                f"the {self.place.count} processes drifted apart: {different[0]} differs at step "
                f"{self.step}. Run the trial again with gpus = 1, or on GPUs of one kind"
            )


def average_logs(logs: list[LossTerms]) -> list[LossTerms]:
    """Returns the mean over the processes of each term."""
    flat = [value for log in logs for value in log.values()]
    means = iter(mean_each_over_slices(flat) if flat else ())
    return [{name: next(means) for name in log} for log in logs]


def named_tensors(state: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yields all tensors of a nested state, with dotted names."""
    if isinstance(state, Tensor):
        yield path, state
    if isinstance(state, dict):
        for key, value in state.items():
            yield from named_tensors(value, f"{path}.{key}" if path else str(key))


@torch.no_grad()
def sum_bits(x: Tensor) -> Tensor:
    """Returns a checksum of a tensor's bits: each element times its place, modulo 2^64.

    Any change of a single element changes it, also a change in the last bit.
    """
    bits = x.detach().contiguous().view(BITS[x.element_size()]).flatten().long()
    return (bits * torch.arange(1, len(bits) + 1, device=x.device)).sum()
