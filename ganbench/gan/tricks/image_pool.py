"""Image pool (Shrivastava et al., 2017): half of the fakes that a discriminator meets are older ones.

A fake either is shown, or takes the place of a kept one that is shown instead. While the pool fills,
by whole batches, each fake is shown and kept.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ganbench.gan.adversarial_batch import Duel
from ganbench.gan.build_config import Blueprint
from ganbench.gan.tasks.base import Game

from .base import Trick
from .compatibility import asks_of_each


class ImagePool(Trick):
    seen: Tensor  # [discriminators], how many fakes were kept so far

    def __init__(self, size: int = 50):
        super().__init__()
        if size < 1:
            raise ValueError(f"size must be at least 1, not {size}")
        self.size = size

    def objection(self, blueprint: Blueprint) -> str | None:
        if asks_of_each(blueprint):
            return (
                "a pool shows fakes of other turns, and here each is asked for something of its own"
            )
        if blueprint.plan.batch <= self.size:
            return None
        return f"a pool of {self.size} images cannot hold a batch of {blueprint.plan.batch}"

    def attach(self, game: Game, blueprint: Blueprint) -> None:
        self.names = list(game.discriminators)
        held = self.size - self.size % blueprint.plan.batch
        for name in self.names:  # a discriminator is called like the domain that it judges
            self.register_buffer(f"images_{name}", torch.zeros(held, *blueprint.shapes[name]))
        self.register_buffer("seen", torch.zeros(len(self.names), dtype=torch.long))

    def stage(self, duel: Duel) -> Duel:
        pool, number = self.get_buffer(f"images_{duel.name}"), self.names.index(duel.name)
        exchange = self.drawn(len(pool), self.seen[number], len(duel.fake), duel.name)
        self.seen[number] += len(duel.fake)
        return replace(duel, fake=exchange.of(pool, duel.fake))

    def drawn(self, held: int, seen: Tensor, count: int, name: str) -> "Exchange":
        assert self.moment
        random, device = self.moment.of(name).random, seen.device
        any_place = torch.randperm(held, generator=random, device=device)[:count]
        swap = torch.rand(count, generator=random, device=device) < 0.5
        next_place = (seen + torch.arange(count, device=device)).clamp(max=held - 1)
        filling = seen < held
        return Exchange(
            torch.where(filling, next_place, any_place), filling | swap, swap & ~filling
        )


@dataclass(frozen=True, eq=False)
class Exchange:
    """Each fake's place in a pool, none twice, whether it is kept there, and the old one shown for it: [N] each."""

    place: Tensor
    kept: Tensor
    swapped: Tensor

    def of(self, pool: Tensor, new: Tensor) -> Tensor:
        """What is shown; the pool takes what it is to keep."""
        wide, old = (-1, *[1] * (new.ndim - 1)), pool[self.place]
        pool[self.place] = torch.where(self.kept.view(wide), new.detach(), old)
        return torch.where(self.swapped.view(wide), old, new)
