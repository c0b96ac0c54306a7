"""Image pool (Shrivastava et al., 2017): half of a discriminator's fakes are older ones.

With probability 1/2 a fake is stored in the pool, and the discriminator receives the stored fake
that it replaces. Otherwise the discriminator receives the fake itself. While the pool fills, by
whole batches, each fake is received and stored.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.batch_slices import gather_rows, slice_rows
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.tasks.base import Task

from .base import Trick
from .compatibility import has_conditions_per_sample


class ImagePool(Trick):
    works_on_slices = True
    seen: Tensor  # [discriminators], the number of fakes so far

    def __init__(self, size: int = 50):
        super().__init__()
        if size < 1:
            raise ValueError(f"size must be at least 1, not {size}")
        self.size = size

    def incompatibility(self, config: BuildConfig) -> str | None:
        if has_conditions_per_sample(config):
            return (
                "a pool reuses fakes of earlier steps, and here each fake has its own label or code"
            )
        if config.hyperparameters.batch <= self.size:
            return None
        return f"a pool of {self.size} images cannot hold a batch of {config.hyperparameters.batch}"

    def setup(self, task: Task, config: BuildConfig) -> None:
        self.names = list(task.discriminators)
        held = self.size - self.size % config.hyperparameters.batch
        for name in self.names:
            count, shape = task.scored_examples(name, config)
            self.register_buffer(f"images_{name}", torch.zeros(held * count, *shape))
        self.register_buffer("seen", torch.zeros(len(self.names), dtype=torch.long))

    def transform_pair(self, pair: AdversarialBatch) -> AdversarialBatch:
        pool, number = self.get_buffer(f"images_{pair.name}"), self.names.index(pair.name)
        new = gather_rows(pair.fake)  # every process has the same pool
        exchange = self.draw_exchange(len(pool), self.seen[number], len(new), pair.name)
        self.seen[number] += len(new)
        return replace(pair, fake=slice_rows(exchange.apply(pool, new)))

    def draw_exchange(self, held: int, seen: Tensor, count: int, name: str) -> "PoolExchange":
        assert self.context
        random, device = self.context.of(name).random, seen.device
        any_place = torch.randperm(held, generator=random, device=device)[:count]
        swap = torch.rand(count, generator=random, device=device) < 0.5
        next_place = (seen + torch.arange(count, device=device)).clamp(max=held - 1)
        filling = seen < held
        return PoolExchange(
            torch.where(filling, next_place, any_place), filling | swap, swap & ~filling
        )


@dataclass(frozen=True, eq=False)
class PoolExchange:
    """The exchange between a batch of fakes and a pool: [N] each.

    It has each fake's place in the pool, no place twice; whether the fake is stored there; and
    whether the old fake is used instead.
    """

    place: Tensor
    kept: Tensor
    swapped: Tensor

    def apply(self, pool: Tensor, new: Tensor) -> Tensor:
        """Stores fakes in the pool, in place, and returns the fakes for the discriminator."""
        wide, old = (-1, *[1] * (new.ndim - 1)), pool[self.place]
        pool[self.place] = torch.where(self.kept.view(wide), new.detach(), old)
        return torch.where(self.swapped.view(wide), old, new)
