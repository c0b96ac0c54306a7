"""Image pool (Shrivastava et al., 2017): half of the fakes that a discriminator meets are older ones.

A fake either is shown, or takes the place of a kept one that is shown instead. While the pool fills,
by whole batches, each fake is shown and kept.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.tasks.base import Task

from .base import Trick
from .compatibility import has_conditions_per_sample


class ImagePool(Trick):
    seen: Tensor  # [discriminators], how many fakes were kept so far

    def __init__(self, size: int = 50):
        super().__init__()
        if size < 1:
            raise ValueError(f"size must be at least 1, not {size}")
        self.size = size

    def incompatibility(self, config: BuildConfig) -> str | None:
        if has_conditions_per_sample(config):
            return (
                "a pool shows fakes of other turns, and here each is asked for something of its own"
            )
        if config.hyperparameters.batch <= self.size:
            return None
        return f"a pool of {self.size} images cannot hold a batch of {config.hyperparameters.batch}"

    def setup(self, task: Task, config: BuildConfig) -> None:
        self.names = list(task.discriminators)
        held = self.size - self.size % config.hyperparameters.batch
        for name in self.names:  # a discriminator is called like the domain that it judges
            self.register_buffer(f"images_{name}", torch.zeros(held, *config.shapes[name]))
        self.register_buffer("seen", torch.zeros(len(self.names), dtype=torch.long))

    def transform_pair(self, pair: AdversarialBatch) -> AdversarialBatch:
        pool, number = self.get_buffer(f"images_{pair.name}"), self.names.index(pair.name)
        exchange = self.draw_exchange(len(pool), self.seen[number], len(pair.fake), pair.name)
        self.seen[number] += len(pair.fake)
        return replace(pair, fake=exchange.apply(pool, pair.fake))

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
    """Each fake's place in a pool, none twice, whether it is kept there, and the old one shown for it: [N] each."""

    place: Tensor
    kept: Tensor
    swapped: Tensor

    def apply(self, pool: Tensor, new: Tensor) -> Tensor:
        """What is shown; the pool takes what it is to keep."""
        wide, old = (-1, *[1] * (new.ndim - 1)), pool[self.place]
        pool[self.place] = torch.where(self.kept.view(wide), new.detach(), old)
        return torch.where(self.swapped.view(wide), old, new)
