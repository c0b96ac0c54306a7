"""Relativistic pairing (Jolicoeur-Martineau, 2018): each real is compared with one fake.

`D: −E log σ(D(x) − D(G(z)))`, `G: −E log σ(D(G(z)) − D(x))`.

Both sides use only the difference between the score of a real and the score of its fake. R3GAN uses
this form (Huang et al., 2024).
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import softplus

from .base import Loss


@dataclass(frozen=True)
class Relativistic(Loss):
    works_on_slices = True

    @property
    def needs_real_scores(self) -> bool:
        return True

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return softplus(fake - real).mean()  # -log sigmoid(real - fake)

    def generator_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        assert real is not None
        return softplus(real - fake).mean()
