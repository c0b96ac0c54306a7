"""Wasserstein (Arjovsky et al., 2017): the difference of the critic's mean scores.

`D: E D(G(z)) − E D(x)`, `G: −E D(G(z))`.

It estimates a distance only if the critic is Lipschitz. Weight clipping, a gradient penalty or
spectral normalization can ensure this.
"""

from dataclasses import dataclass, field

from torch import Tensor

from ganbench.registry import NOT_A_SETTING

from .base import Loss


@dataclass(frozen=True)
class Wasserstein(Loss):
    works_on_slices = True
    fake_weight: float | Tensor = field(default=1.0, metadata=NOT_A_SETTING)

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return self.fake_weight * fake.mean() - real.mean()

    def generator_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        return -fake.mean()
