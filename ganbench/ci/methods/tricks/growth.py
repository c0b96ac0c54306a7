"""Closed form of progressive growing: its levels, and the detail of reals."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ganbench.gan.networks.progressive import BASE_RESOLUTION, ProgressiveModule
from ganbench.gan.tricks.base import Trick

from ..base import Settings, compare
from ..cells import CheckedCell
from ..hand_made_batch import begin, draw_normal

FADED = (0.0, 0.0, 0.0, 0.5)  # share of the next size in each quarter of a doubling


@torch.no_grad()
def check_progressive_growing(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """Every size is stable for a while, then the next fades in; reals have the same detail."""
    trainer = cell.make_trainer()
    trick = cell.trick_of(trainer, "progressive_growing")
    parts = [m for m in trainer.task.modules() if isinstance(m, ProgressiveModule)]
    top, batches = max(part.top for part in parts), trainer.loader.batches(0)
    domain, batch = next(iter(batches.items()))
    images = draw_normal(*batch.images.shape)
    for number in range(4 * top + 1):
        begin(trick, progress=settings["until"] * number / (4 * top))
        level = number // 4 + FADED[number % 4]
        for ours in {part.level for part in parts}:
            yield from compare(f"the level after {number} quarters", ours, level)
        yield from detail_faults(trick, images, level, {domain: replace(batch, images=images)})


def detail_faults(trick: Trick, images: Tensor, level: float, batches: dict) -> Iterator[str]:  # type: ignore[type-arg]
    """Yields a sentence if reals have other detail than the blocks of a level."""
    (limited,) = (batch.images for batch in trick.transform_batches(batches).values())
    share = level % 1
    expected = (1 - share) * block_means(images, int(level))
    if share:
        expected = expected + share * block_means(images, int(level) + 1)
    if not torch.allclose(limited, expected, atol=1e-5):
        yield f"reals at the level {level:g} have other detail than the blocks of that size"


def block_means(images: Tensor, level: int) -> Tensor:
    """Returns images in which each block of the level's pixels has its mean."""
    size = images.shape[-1] // (BASE_RESOLUTION << level)
    blocks = images.unfold(2, size, size).unfold(3, size, size).mean((4, 5))
    return blocks.repeat_interleave(size, 2).repeat_interleave(size, 3)
