"""Pearson (f-GAN, Nowozin et al., 2016): the optimal score is 2 (p / q - 1).

The densities are p for reals and q for fakes.
`D: E(D(G(z))² / 4 + D(G(z))) − E D(x)`, `G: −E D(G(z))`, which does not saturate.
"""

from dataclasses import dataclass

from torch import Tensor

from ganbench.extend import Loss


@dataclass(frozen=True)
class Pearson(Loss):
    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return (fake.square() / 4 + fake).mean() - real.mean()

    def generator_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        return -fake.mean()
