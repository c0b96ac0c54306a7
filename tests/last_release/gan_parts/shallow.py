"""Shallow: one hidden layer on either side, the least that is a GAN."""

from dataclasses import dataclass
from math import prod

from torch import nn

from ganbench.networks.base import Network, norm_of_vectors
from ganbench.networks.discriminator import Discriminator, Head, Shape


@dataclass(frozen=True)
class Shallow(Network):
    """`width` is that of both hidden layers."""

    width: int = 64

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width must be at least 1, not {self.width}")
        norm_of_vectors(self.norm, 8)  # objects to a norm that vectors cannot have

    def generator(self, latent: int, shape: Shape) -> nn.Module:
        hidden = [nn.Linear(latent, self.width), nn.LeakyReLU(0.2)]
        outside = [nn.Tanh()] if len(shape) == 3 else []  # images lie in [-1, 1], points anywhere
        values = nn.Linear(self.width, prod(shape))
        return nn.Sequential(*hidden, values, nn.Unflatten(1, shape), *outside)

    def discriminator(self, shape: Shape) -> Discriminator:
        body = nn.Sequential(
            nn.Flatten(),
            nn.Linear(prod(shape), self.width),
            norm_of_vectors(self.norm, self.width),
            nn.LeakyReLU(0.2),
        )
        return Discriminator(body, (self.width,), Head(self.width))
