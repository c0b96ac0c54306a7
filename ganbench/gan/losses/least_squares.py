"""Least squares (Mao et al., 2017, equation 9): half the squared distance to 1 and 0.

`D: ½ E(D(x) − 1)² + ½ E D(G(z))²`, `G: ½ E(D(G(z)) − 1)²`.
"""

from dataclasses import dataclass

from torch import Tensor

from .base import TargetedLoss


@dataclass(frozen=True)
class LeastSquares(TargetedLoss):
    works_on_slices = True

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        off = (real - self.real_target).square().mean() + (fake - self.fake_target).square().mean()
        return off / 2

    def generator_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        return (fake - 1).square().mean() / 2
