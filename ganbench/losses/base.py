"""What a discriminator's scores are worth to each side; both sides minimize."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


@dataclass(frozen=True)
class Loss:
    """A pure function of scores. Scores are unbounded, [N] or maps [N, ...]; terms are scalars.

    `generator_weight` scales the generator's side: feature matching takes its place by setting 0.
    """

    version: ClassVar[int] = 1
    neutral: ClassVar[dict[str, Any]] = {}
    paired: ClassVar[bool] = False  # does the generator's side read the reals' scores?

    generator_weight: float = 1.0

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:  # [N], [N] => []
        raise NotImplementedError

    def generator(self, fake: Tensor, real: Tensor | None) -> Tensor:  # [N], [N] if paired => []
        raise NotImplementedError


@dataclass(frozen=True)
class Targeted(Loss):
    """A loss that draws the discriminator's scores to targets: 1 for real, 0 for fake."""

    real_target: float = 1.0
    fake_target: float = 0.0


def cross_entropy(score: Tensor, target: float) -> Tensor:
    """Binary cross-entropy of sigmoid(score) against one target for all, averaged."""
    return binary_cross_entropy_with_logits(score, score.new_full(score.shape, target))
