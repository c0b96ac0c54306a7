"""Minimax (Goodfellow et al., 2014, equation 1): G minimizes the objective of D.

`D: −E log σ(D(x)) − E log(1 − σ(D(G(z))))`, `G: E log(1 − σ(D(G(z))))`.

The discriminator maximizes the objective that the generator minimizes. The generator's gradient
vanishes when the discriminator separates fakes easily. The loss is included as the original
baseline.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import softplus

from .base import TargetedLoss, cross_entropy_to_target


@dataclass(frozen=True)
class Minimax(TargetedLoss):
    works_on_slices = True

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return cross_entropy_to_target(real, self.real_target) + cross_entropy_to_target(
            fake, self.fake_target
        )

    def generator_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        return -softplus(fake).mean()  # log(1 - sigmoid(fake))
