"""MLP (Goodfellow et al., 2014): the GAN of multilayer perceptrons, as in tutorials.

The hidden layers have 128, 256 and 512 units in the generator, and 512 and 256 in the
discriminator.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import ClassVar

from torch import nn

from ganbench.data.modality import modality_of_shape

from .base import Network, make_vector_norm
from .conditioning import build_one_hot_generator
from .discriminator import Discriminator, Shape


@dataclass(frozen=True)
class MLP(Network):
    """The family's settings.

    `width` is that of the generator's first layer, and all other widths are multiples of it.
    Generators of images end in tanh; points are unbounded.
    """

    works_on_slices = True
    conditional: ClassVar[bool] = True

    width: int = 128

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width must be at least 1, not {self.width}")
        make_vector_norm(self.norm, 8)

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:
        if self.classes:
            return build_one_hot_generator(self, latent, shape)
        widths = (latent, self.width, 2 * self.width, 4 * self.width)
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(widths):
            layers += [nn.Linear(fan_in, fan_out), nn.LeakyReLU(0.2)]
        layers += [nn.Linear(widths[-1], prod(shape)), nn.Unflatten(1, shape)]
        return nn.Sequential(*layers, *([nn.Tanh()] if modality_of_shape(shape).has_pixels else []))

    def build_discriminator(self, shape: Shape) -> Discriminator:
        widths = (prod(shape), 4 * self.width, 2 * self.width)
        layers: list[nn.Module] = [nn.Flatten()]
        for fan_in, fan_out in pairwise(widths):
            layers += [
                nn.Linear(fan_in, fan_out),
                make_vector_norm(self.norm, fan_out),
                nn.LeakyReLU(0.2),
            ]
        return Discriminator(nn.Sequential(*layers), (widths[-1],), self.build_head(widths[-1]))
