"""Relativistic average (Jolicoeur-Martineau, 2018): scores against the other side's mean.

`D: −E log σ(D(x) − E D(G(z))) − E log(1 − σ(D(G(z)) − E D(x)))`. `G` is the same with the sides
exchanged.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import softplus

from ganbench.gan.batch_slices import mean_over_slices

from .base import Loss


@dataclass(frozen=True)
class RelativisticAverage(Loss):
    works_on_slices = True

    @property
    def needs_real_scores(self) -> bool:
        return True

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        ahead = softplus(
            mean_over_slices(fake.mean()) - real
        ).mean()  # -log sigmoid(real - mean fake)
        behind = softplus(
            fake - mean_over_slices(real.mean())
        ).mean()  # -log(1 - sigmoid(fake - mean real))
        return ahead + behind

    def generator_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        assert real is not None
        return self.discriminator_loss(fake, real)  # the same with the sides exchanged
