"""Shallow: a generator and a discriminator with one hidden layer each, the smallest GAN."""

from dataclasses import dataclass
from math import prod

from torch import nn

from ganbench.extend import Discriminator, Head, Network, Shape, make_vector_norm, modality_of_shape


@dataclass(frozen=True)
class Shallow(Network):
    """A network family with hidden layers of `width` units."""

    width: int = 64

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width must be at least 1, not {self.width}")
        make_vector_norm(self.norm, 8)  # raises ValueError for a norm that vectors do not support

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:
        hidden = [nn.Linear(latent, self.width), nn.LeakyReLU(0.2)]
        has_pixels = modality_of_shape(shape).has_pixels
        outside = [nn.Tanh()] if has_pixels else []  # images are in [-1, 1], points are unbounded
        values = nn.Linear(self.width, prod(shape))
        return nn.Sequential(*hidden, values, nn.Unflatten(1, shape), *outside)

    def build_discriminator(self, shape: Shape) -> Discriminator:
        body = nn.Sequential(
            nn.Flatten(),
            nn.Linear(prod(shape), self.width),
            make_vector_norm(self.norm, self.width),
            nn.LeakyReLU(0.2),
        )
        return Discriminator(body, (self.width,), Head(self.width))
