"""Pearson (f-GAN, Nowozin et al., 2016): scores draw to 2 (p / q - 1), p of reals and q of fakes.

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
