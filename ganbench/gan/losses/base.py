"""Base classes of adversarial losses. Each side minimizes its own loss."""

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
    """A pure function of scores, which are unbounded: [N] or maps [N, ...] => scalars.

    `generator_weight` scales the generator's loss; feature matching lowers it, to 0 by default.
    Fields marked NOT_A_SETTING are replaced by tricks and cannot be set in a spec.
    """

    version: ClassVar[int] = 1
    neutral: ClassVar[dict[str, Any]] = {}
    renamed_hooks: ClassVar[Mapping[str, str]] = LOSS_HOOKS
    # Whether scores may be those of a slice of the batch: means over scores, or `batch_slices`.
    works_on_slices: ClassVar[bool] = False  # each subclass declares it anew

    generator_weight: float | Tensor = field(default=1.0, metadata=NOT_A_SETTING)

    @property
    def needs_real_scores(self) -> bool:
        """Whether the generator's loss reads the scores of reals."""
        return False

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:  # [N], [N] => []
        """Returns the discriminator's loss, a scalar, from its scores of reals and fakes."""
        raise NotImplementedError

    def generator_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:  # [N], [N] or None => []
        """Returns the generator's loss, a scalar, from the scores of its fakes.

        `real` has the scores of reals if `needs_real_scores` is true, and is None otherwise.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class TargetedLoss(Loss):
    """A loss with targets for the discriminator's scores: 1 for reals, 0 for fakes."""

    real_target: float | Tensor = field(default=1.0, metadata=NOT_A_SETTING)
    fake_target: float | Tensor = field(default=0.0, metadata=NOT_A_SETTING)


@dataclass(frozen=True, kw_only=True)
class WrappedLoss(Loss):
    """A loss that passes scores to an inner loss. Subclasses override one side."""

    inner: Loss = field(metadata=NOT_A_SETTING)

    @property
    def needs_real_scores(self) -> bool:
        return self.inner.needs_real_scores

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return self.inner.discriminator_loss(real, fake)

    def generator_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        return self.inner.generator_loss(fake, real)


def cross_entropy_to_target(score: Tensor, target: float | Tensor) -> Tensor:
    """Computes the mean binary cross-entropy of sigmoid(score) to its target.

    The target is one number, or a tensor that broadcasts to the scores.
    """
    # A number becomes a tensor on the scores' device, because a copy from the host would block.
    if not isinstance(target, Tensor):
        target = torch.full_like(score, target)
    return binary_cross_entropy_with_logits(score, target.to(score.dtype).expand_as(score))
