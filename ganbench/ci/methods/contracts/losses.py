"""The contract of losses: scalars that separate the sides, and trainings that resume."""

from collections.abc import Iterator

import torch

from ganbench.gan.losses import LOSSES
from ganbench.gan.losses.base import Loss

from .trainings import (
    NETWORKS,
    SmallTraining,
    finiteness_faults,
    is_finite,
    make_or_reason,
    resume_faults,
)

SHAPES = ((6,), (6, 1, 3, 3))  # of scores: one number per image, or a map


def check_loss(text: str) -> Iterator[str]:
    """Yields the violations of the contract by a loss."""
    loss: Loss = LOSSES.make(text)
    for shape in SHAPES:
        yield from value_faults(loss, shape)
    yield from direction_faults(loss)
    for variant, data in NETWORKS:
        training = SmallTraining(variant, data, text)
        trainer, _ = make_or_reason(training)
        if trainer is not None:
            yield from finiteness_faults(training, trainer)
    yield from resume_faults(SmallTraining(*NETWORKS[0], text))


def objectives(
    loss: Loss, real: torch.Tensor, fake: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    reals = real if loss.needs_real_scores else None
    return loss.discriminator_loss(real, fake), loss.generator_loss(fake, reals)


def value_faults(loss: Loss, shape: tuple[int, ...]) -> Iterator[str]:
    """Yields a sentence if a loss of scores is no finite scalar, or changes between calls."""
    random = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(shape, generator=random) for _ in range(2))
    values, again = objectives(loss, real, fake), objectives(loss, real, fake)
    for side, value, repeated in zip(("discriminator", "generator"), values, again, strict=True):
        if value.shape != torch.Size([]):
            yield f"the {side}'s loss of scores {list(shape)} has the shape {list(value.shape)}"
        elif not is_finite(value):
            yield f"the {side}'s loss of scores {list(shape)} is not finite"
        elif not torch.equal(value, repeated):
            yield f"the {side}'s loss of the same scores differs from call to call"


def direction_faults(loss: Loss) -> Iterator[str]:
    """Yields a sentence if a side gains by the wrong scores, at scores near 0."""
    real, fake = (torch.full((6,), 0.25, requires_grad=True) for _ in range(2))
    discriminator, generator = objectives(loss, real, fake)
    of_real, of_fake = torch.autograd.grad(discriminator, [real, fake])
    if not (of_real < 0).all() or not (of_fake > 0).all():
        yield "the discriminator does not gain by higher scores of reals and lower ones of fakes"
    (of_fake,) = torch.autograd.grad(generator, [fake])
    if not (of_fake < 0).all():
        yield "the generator does not gain by higher scores of its fakes"
