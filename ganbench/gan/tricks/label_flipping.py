"""Label flipping (Chintala et al., 2016, "How to train a GAN"): now and then reals and fakes swap targets.

Each score on a discriminator's turn is drawn to the other side's target with the probability `share`.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ganbench.gan.adversarial_batch import Duel
from ganbench.gan.build_config import Blueprint
from ganbench.gan.losses.base import Around, Loss, Targeted

from .base import Trick
from .label_smoothing import objection_to_no_targets


@dataclass(frozen=True, kw_only=True)
class Flipped(Around):
    """A loss with targets, each the other side's with the probability `share`."""

    inner: Targeted
    share: float
    random: torch.Generator

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        ours, theirs = self.inner.real_target, self.inner.fake_target
        flipped = replace(
            self.inner,
            real_target=self.drawn(real, usual=ours, other=theirs),
            fake_target=self.drawn(fake, usual=theirs, other=ours),
        )
        return flipped.discriminator(real, fake)

    def drawn(self, score: Tensor, usual: float | Tensor, other: float | Tensor) -> Tensor:
        swap = torch.rand(score.shape, generator=self.random, device=score.device) < self.share
        return torch.where(swap, other, usual)


class LabelFlipping(Trick):
    phase = "labels"

    def __init__(self, share: float = 0.05):
        super().__init__()
        if not 0 < share < 0.5:
            raise ValueError(f"the share must lie in (0, 0.5), not {share}")
        self.share = share

    def objection(self, blueprint: Blueprint) -> str | None:
        return objection_to_no_targets("label flipping", blueprint)

    def loss(self, loss: Loss, duel: Duel) -> Loss:
        assert self.moment
        assert isinstance(loss, Targeted)
        random = self.moment.of(duel.name).random
        return Flipped(
            inner=loss,
            generator_weight=loss.generator_weight,
            share=self.share,
            random=random,
        )
