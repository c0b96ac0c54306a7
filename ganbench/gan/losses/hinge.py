"""Hinge (Lim and Ye, 2017): the discriminator ignores scores beyond a margin of 1.

`D: E max(0, 1 − D(x)) + E max(0, 1 + D(G(z)))`, `G: −E D(G(z))`.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import relu

from .base import Loss


@dataclass(frozen=True)
class Hinge(Loss):
    works_on_slices = True

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return relu(1 - real).mean() + relu(1 + fake).mean()

    def generator_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        return -fake.mean()
