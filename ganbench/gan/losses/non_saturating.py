"""Non-saturating (Goodfellow et al., 2014, section 3): the generator maximizes log D(G(z)).

`D: −E log σ(D(x)) − E log(1 − σ(D(G(z))))`, `G: −E log σ(D(G(z)))`.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import softplus

from .base import Targeted, cross_entropy


@dataclass(frozen=True)
class NonSaturating(Targeted):
    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return cross_entropy(real, self.real_target) + cross_entropy(fake, self.fake_target)

    def generator(self, fake: Tensor, real: Tensor | None) -> Tensor:
        return softplus(-fake).mean()  # -log sigmoid(fake)
