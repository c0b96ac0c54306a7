"""Label flipping (Chintala et al., 2016, "How to train a GAN"): swaps targets at random.

In a discriminator step each score has the other side's target with probability `share`.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.batch_slices import draw_rows
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.losses.base import Loss, TargetedLoss, WrappedLoss

from .base import Trick
from .label_smoothing import refuse_loss_without_targets


@dataclass(frozen=True, kw_only=True)
class FlippedTargets(WrappedLoss):
    """A loss with targets, each exchanged for the other side's with probability `share`."""

    inner: TargetedLoss
    share: float
    random: torch.Generator

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        real_target, fake_target = self.inner.real_target, self.inner.fake_target
        flipped = replace(
            self.inner,
            real_target=self.draw_targets(real, usual=real_target, other=fake_target),
            fake_target=self.draw_targets(fake, usual=fake_target, other=real_target),
        )
        return flipped.discriminator_loss(real, fake)

    def draw_targets(self, score: Tensor, usual: float | Tensor, other: float | Tensor) -> Tensor:
        draws = draw_rows(torch.rand, score.shape, generator=self.random, device=score.device)
        return torch.where(draws < self.share, other, usual)


class LabelFlipping(Trick):
    works_on_slices = True
    phase = "labels"

    def __init__(self, share: float = 0.05):
        super().__init__()
        if not 0 < share < 0.5:
            raise ValueError(f"the share must lie in (0, 0.5), not {share}")
        self.share = share

    def incompatibility(self, config: BuildConfig) -> str | None:
        return refuse_loss_without_targets("label flipping", config)

    def transform_loss(self, loss: Loss, pair: AdversarialBatch) -> Loss:
        assert self.context
        assert isinstance(loss, TargetedLoss)
        random = self.context.of(pair.name).random
        return FlippedTargets(
            inner=loss,
            generator_weight=loss.generator_weight,
            share=self.share,
            random=random,
        )
