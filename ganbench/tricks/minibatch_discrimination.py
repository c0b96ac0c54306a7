"""Minibatch discrimination (Salimans et al., 2016): the discriminator's head sees how close a batch is."""

import torch
from torch import Tensor, nn

from ..networks.discriminator import Discriminator, Head
from .base import Trick


class Closeness(nn.Module):
    """For each example and kernel, the summed exp(-L1) to the others: [N, width] => [N, kernels]."""

    def __init__(self, width: int, kernels: int, depth: int):
        super().__init__()
        self.project = nn.Parameter(torch.randn(width, kernels, depth) / width**0.5)

    def forward(self, features: Tensor) -> Tensor:
        m = torch.einsum("nw,wkd->nkd", features, self.project)
        near = (-(m[:, None] - m[None]).abs().sum(3)).exp()  # [N, N, kernels]
        return near.sum(1) - 1


class Beside(Head):
    """A head that scores the features together with their closeness."""

    def __init__(self, closeness: Closeness, head: Head):
        nn.Module.__init__(self)
        self.closeness, self.head, self.width = closeness, head, closeness.project.shape[0]

    def widened(self, more: int) -> Head:
        return Beside(self.closeness, self.head.widened(more))

    def forward(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        return self.head(torch.cat([features, self.closeness(features[:, : self.width])], 1), label)


class MinibatchDiscrimination(Trick):
    phase = "structure"

    def __init__(self, kernels: int = 100, depth: int = 5):
        super().__init__()
        if kernels < 1 or depth < 1:
            raise ValueError("kernels and depth must be at least 1")
        self.kernels, self.depth = kernels, depth

    def discriminator(self, discriminator: Discriminator) -> Discriminator:
        closeness = Closeness(discriminator.width, self.kernels, self.depth)
        discriminator.head = Beside(closeness, discriminator.head.widened(self.kernels))
        return discriminator
