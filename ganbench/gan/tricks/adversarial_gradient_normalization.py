"""Adversarial gradient normalization (Lin et al., 2025): the loss may have any scale.

As in "Adversarial Flow Models", the gradient that fakes receive from the discriminator is divided
by its own scale,

    g ← g / √v,  v ← decay · v + (1 − decay) · n ‖g‖²

with `n` the numbers in a batch of fakes, so that `‖g‖` is about `1 / √n`. `v` starts at its first
value. The loss's scale then changes nothing, and other terms of the generator keep their weights.

Only generator steps are normalized, between the fakes and all that the discriminator receives.
"""

from contextvars import copy_context
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ganbench.gan.batch_slices import mean_over_slices
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.tasks.base import Task
from ganbench.rng import StepContext

from .base import Trick


class NormalizedGradient(torch.autograd.Function):
    """The identity. Its backward divides by the root of a moving average, and updates that."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, average: Tensor, decay: float) -> Tensor:
        ctx.average, ctx.decay = average, decay
        ctx.slices = copy_context()  # backward may run in another thread
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        average = ctx.average
        now = gradient.to(average.dtype).square().sum() * gradient.numel()
        now = ctx.slices.run(mean_over_slices, now)
        average.copy_(torch.where(average == 0, now, average.lerp(now, 1 - ctx.decay)))
        return gradient / average.clamp_min(1e-30).sqrt().to(gradient.dtype), None, None


class AdversarialGradientNormalization(Trick):
    works_on_slices = True
    phase = "loss"  # before tricks that change the images, so that the fakes are the generator's
    averages: Tensor  # [discriminators], of n ‖g‖²

    def __init__(self, decay: float = 0.9):
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"decay must lie in [0, 1), not {decay}")
        self.decay = decay
        self.normalized: dict[str, tuple[Tensor, Tensor]] = {}  # the fakes of this step, by role

    def incompatibility(self, config: BuildConfig) -> str | None:
        if "label_interpolation" not in config.tricks:
            return None
        return (
            "adversarial gradient normalization has one scale for the fakes of a step, and label "
            "interpolation has two kinds of fakes"
        )

    def setup(self, task: Task, config: BuildConfig) -> None:
        self.names = list(task.discriminators)
        self.register_buffer("averages", torch.zeros(len(self.names)))

    def begin_step(self, context: StepContext) -> None:
        super().begin_step(context)
        self.normalized.clear()

    def transform_discriminator_input(self, x: Tensor, role: str) -> Tensor:
        in_generator_step = self.context is not None and self.context.turn < 0
        if not (in_generator_step and x.requires_grad and role.endswith("/fake")):
            return x
        fake, normalized = self.normalized.get(role, (None, x))
        if fake is not x:  # several discriminators may score the fakes, and their gradients add up
            average = self.averages[self.names.index(role.removesuffix("/fake"))]
            normalized = NormalizedGradient.apply(x, average, self.decay)
            self.normalized[role] = x, normalized
        return normalized
