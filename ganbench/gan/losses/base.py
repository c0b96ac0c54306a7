"""What a discriminator's scores are worth to each side; both sides minimize."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from ganbench.deprecation import RenamedHooks
from ganbench.registry import NOT_A_SETTING
from ganbench.renamed import LOSS_HOOKS


@dataclass(frozen=True)
class Loss(RenamedHooks):
    """A pure function of scores. Scores are unbounded, [N] or maps [N, ...]; terms are scalars.

    `generator_weight` scales the generator's side: feature matching takes its place by setting 0.
    Fields marked SEAM are for tricks to replace, and no settings of a spec.
    """

    version: ClassVar[int] = 1
    neutral: ClassVar[dict[str, Any]] = {}
    renamed_hooks: ClassVar[Mapping[str, str]] = LOSS_HOOKS

    generator_weight: float | Tensor = field(default=1.0, metadata=NOT_A_SETTING)

    @property
    def needs_real_scores(self) -> bool:
        """Does the generator's side read the reals' scores?"""
        return False

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:  # [N], [N] => []
        """What the discriminator's scores of reals and fakes cost it."""
        raise NotImplementedError

    def generator_loss(
        self, fake: Tensor, real: Tensor | None
    ) -> Tensor:  # [N], [N] if paired => []
        """What the scores of its fakes cost the generator; reals' scores are None unless it is paired."""
        raise NotImplementedError


@dataclass(frozen=True)
class TargetedLoss(Loss):
    """A loss that draws the discriminator's scores to targets: 1 for real, 0 for fake."""

    real_target: float | Tensor = field(default=1.0, metadata=NOT_A_SETTING)
    fake_target: float | Tensor = field(default=0.0, metadata=NOT_A_SETTING)


@dataclass(frozen=True, kw_only=True)
class WrappedLoss(Loss):
    """Another loss, asked as it is; a subclass changes what it is asked about."""

    inner: Loss = field(metadata=NOT_A_SETTING)

    @property
    def needs_real_scores(self) -> bool:
        return self.inner.needs_real_scores

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return self.inner.discriminator_loss(real, fake)

    def generator_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        return self.inner.generator_loss(fake, real)


def cross_entropy_to_target(score: Tensor, target: float | Tensor) -> Tensor:
    """Binary cross-entropy of sigmoid(score) against one target for all or one for each, averaged."""
    if not isinstance(
        target, Tensor
    ):  # made on the scores' device: a copy to it would make the host wait
        target = torch.full_like(score, target)
    return binary_cross_entropy_with_logits(score, target.to(score.dtype).expand_as(score))
