"""Closed forms of tricks that keep weights or images of earlier steps."""

import math
from collections.abc import Iterator
from copy import deepcopy
from typing import cast

import torch
from torch import Tensor, nn

from ganbench.gan.losses import LOSSES
from ganbench.gan.tricks.image_pool import ImagePool

from ..base import Settings, compare
from ..cells import CheckedCell
from ..hand_made_batch import begin
from .draws import share_error

FULL_BATCHES = 40  # that pass a full pool
GENERATOR_TURN = -1


def check_ema(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The sampled weights follow the recursion of the average."""
    trainer = cell.make_trainer()
    expected = [p.detach().double().clone() for p in trainer.task.generators.parameters()]
    for step in range(1, 4):
        trainer.train_step()
        decay = settings["decay"]
        if settings["ramp"]:
            decay = min(decay, 0.5 ** (1 / (settings["ramp"] * step)))
        for mean, now in zip(expected, trainer.task.generators.parameters(), strict=True):
            mean.mul_(decay).add_(now.detach().double(), alpha=1 - decay)
    pairs = zip(trainer.sampling_generators().parameters(), expected, strict=True)
    off = max(largest_difference(ours.detach(), mean) for ours, mean in pairs)
    if off > 1e-5:
        yield f"sampled weights are {off:.2g} away from decay · mean + (1 − decay) · weight"


@torch.no_grad()
def check_post_hoc_ema(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The weights of an average have the length of the settings, as a share of the steps.

    The generators' weights are the time, and its square, so that their averages are moments.
    """
    trainer, steps = cell.make_trainer(), 400
    trick, generators = cell.trick_of(trainer, "post_hoc_ema"), trainer.task.generators
    first, *others = generators.parameters()
    for step in range(steps):
        time = (step + 1) / steps
        first.fill_(time)
        for parameter in others:
            parameter.fill_(time**2)
        begin(trick, progress=step / steps, step=step)
        trick.after_generator_step(trainer.task, [])
    mean, square, *_ = (
        float(x.mean()) for x in trick.transform_sampling_generators(generators).parameters()
    )
    length = math.sqrt(max(0.0, square - mean**2))
    yield from compare("the length of the average", length, settings["length"], 0.03)


def largest_difference(ours: Tensor, mean: Tensor) -> float:
    """Returns the largest difference of two tensors, relative to sizes above 1."""
    return float((ours - mean).abs().max() / mean.abs().max().clamp(min=1.0))


@torch.no_grad()
def check_image_pool(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """Each fake is new or was stored, and half of a full pool's fakes are exchanged.

    Fakes have numbers. The check keeps its own pool, and follows what the discriminator receives.
    """
    trainer = cell.make_trainer()
    trick, pair = cast(ImagePool, cell.trick_of(trainer, "image_pool")), trainer.make_pairs(0, 0)[0]
    count, swapped, total, pool = len(pair.fake), 0, 0, set[float]()
    held = settings["size"] - settings["size"] % count
    for step in range(held // count + FULL_BATCHES):
        numbers = torch.arange(count, dtype=torch.float32) + step * count
        new = numbers.view(-1, *[1] * (pair.fake.ndim - 1)).expand_as(pair.fake)
        begin(trick, step=step)
        received = trick.transform_pair(pair.with_fields(fake=new)).fake.flatten(1)[:, 0]
        is_full = len(pool) >= held
        for own, got in zip(numbers.tolist(), received.tolist(), strict=True):
            if got != own and not (is_full and got in pool):
                yield "the discriminator receives a fake that is neither new nor stored"
                return
            pool.discard(got)
            pool |= {own} if got != own or not is_full else set()
            swapped, total = swapped + (got != own), total + is_full
    error = share_error(0.5, total)
    yield from compare("the share of older fakes", swapped / total, 0.5, error)


@torch.no_grad()
def check_past_discriminators(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The generator's loss is the mean over the current discriminator and the last snapshots."""
    trainer = cell.make_trainer()
    trick, snapshots = cell.trick_of(trainer, "past_discriminators"), list[nn.ModuleDict]()
    for number in range(1, settings["keep"] + 2):
        trainer.step, trainer.turn = number * settings["every"], 0
        with torch.enable_grad():
            trainer.discriminator_step()
        snapshots.append(deepcopy(trainer.task.discriminators))
    with torch.enable_grad():  # so that no snapshot equals the current discriminator
        trainer.discriminator_step()
    pair = trainer.make_pairs(trainer.generator_batch_number, GENERATOR_TURN)[0]
    loss = trick.transform_loss(LOSSES.make("wasserstein"), pair)
    current = [trainer.task.discriminators, *snapshots[-settings["keep"] :]]
    scores = [pair.with_fields(discriminator=d[pair.name]).fake_score.mean() for d in current]
    ours = float(loss.generator_loss(pair.fake_score, None))
    yield from compare("the generator's loss", ours, -float(torch.stack(scores).mean()), 1e-3, 0.01)
