"""Pooled: MLP generator, convolutions with global average pooling (Lin et al., 2014).

Tutorials combine these two networks. The pooling replaces the discriminator's last hidden layer.
"""

from dataclasses import dataclass

from torch import nn

from ganbench.data.modality import refuse_other_than_images

from .base import make_map_norm
from .discriminator import Discriminator, Shape
from .mlp import MLP


@dataclass(frozen=True)
class Pooled(MLP):
    """The family's settings.

    `width` is that of the generator's first layer, and the number of channels of the last
    convolution.
    """

    works_on_slices = True

    def incompatibility(self, shape: Shape) -> str | None:
        if refusal := refuse_other_than_images("pooled needs images", shape):
            return refusal
        if min(shape[1:]) < 4:
            return f"pooled halves images twice, and these are {shape[1]}x{shape[2]}"
        return None

    def build_discriminator(self, shape: Shape) -> Discriminator:
        half = max(1, self.width // 2)
        layers = [
            nn.Conv2d(shape[0], half, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(half, self.width, 3, stride=2, padding=1),
            make_map_norm(self.norm, self.width),
            nn.LeakyReLU(0.2),
            nn.AdaptiveAvgPool2d(1),
        ]
        return Discriminator(
            nn.Sequential(*layers), (self.width, 1, 1), self.build_head(self.width)
        )
