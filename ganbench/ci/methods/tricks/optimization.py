"""Closed forms of tricks that change rates and the order of steps."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ganbench.gan.networks import NETWORKS
from ganbench.training.trainer import Trainer

from ..base import Settings, compare
from ..cells import CheckedCell

RATE_TOLERANCE = 1e-4
STEP_TOLERANCE = 0.01  # of weights after several steps, relative to the length of those steps


def check_ttur(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The discriminator's rate is a multiple of the generator's."""
    trainer = cell.make_trainer()
    trainer.train_step()
    rates = {side: o.param_groups[0]["lr"] for side, o in trainer.optimizers.items()}
    ratio = rates["discriminator"] / rates["generator"]
    yield from compare("the ratio of the rates", ratio, settings["ratio"], RATE_TOLERANCE)


def check_width_scaled_rates(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The generator's rate is that of the recipe times the reference over the width."""
    trainer = cell.make_trainer()
    trainer.train_step()
    rate = trainer.optimizers["generator"].param_groups[0]["lr"]
    width = NETWORKS.make(cell.recipe.network).width
    factor = float(rate) / cell.recipe.hyperparameters.generator_lr
    yield from compare("the factor of the rate", factor, settings["reference"] / width)


def check_unrolled(cell: CheckedCell, text: str, settings: Settings) -> Iterator[str]:
    """The generator trains against discriminators of later steps, which are then restored.

    A second training of the same seed takes the steps for real.
    """
    trainer, twin = cell.make_trainer(), cell.make_trainer()
    trainer.discriminator_step()
    for _ in range(1 + settings["turns"]):
        twin.discriminator_step()
    before, ahead = weights_of(trainer), weights_of(twin)
    with trainer.trick.lookahead(trainer):
        reached = weights_of(trainer)
        yield from gradient_faults(trainer, settings["order"])
    length, off = mean_distance(ahead, before), mean_distance(ahead, reached)
    if off > STEP_TOLERANCE * length:
        yield (
            f"the unrolled weights are {off:.2g} away from those after {settings['turns']} steps, "
            f"which move them by {length:.2g}"
        )
    if not all(torch.equal(a, b) for a, b in zip(weights_of(trainer), before, strict=True)):
        yield "the discriminators do not return to their weights"


def weights_of(trainer: Trainer) -> list[Tensor]:
    return [p.detach().clone() for _, p in trainer.task.discriminators.named_parameters()]


def mean_distance(one: list[Tensor], other: list[Tensor]) -> float:
    """Returns the mean absolute difference of all weights."""
    parts = [(a.double() - b).abs().flatten() for a, b in zip(one, other, strict=True)]
    return float(torch.cat(parts).mean())


def gradient_faults(trainer: Trainer, order: int) -> Iterator[str]:
    """Yields a sentence if gradients pass through the steps in order 1, or do not in order 2."""
    reached = [p for _, p in trainer.task.discriminators.named_parameters()]
    passes = any(p.grad_fn is not None for p in reached)
    if passes:
        total = torch.stack([p.sum() for p in reached if p.grad_fn is not None]).sum()
        sources = list(trainer.task.generators.parameters())
        slopes = torch.autograd.grad(total, sources, allow_unused=True, retain_graph=True)
        passes = any(slope is not None and bool(slope.any()) for slope in slopes)
    if passes != (order == 2):
        does = "reaches" if passes else "does not reach"
        yield f"the gradient {does} the generators through steps of order {order}"
