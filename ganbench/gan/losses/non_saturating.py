"""Non-saturating (Goodfellow et al., 2014, section 3): G maximizes log D(G(z)).

`D: −E log σ(D(x)) − E log(1 − σ(D(G(z))))`, `G: −E log σ(D(G(z)))`.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import softplus

from .base import TargetedLoss, cross_entropy_to_target


@dataclass(frozen=True)
class NonSaturating(TargetedLoss):
    works_on_slices = True

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return cross_entropy_to_target(real, self.real_target) + cross_entropy_to_target(
            fake, self.fake_target
        )

    def generator_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        return softplus(-fake).mean()  # -log sigmoid(fake)
