"""DCGAN (Radford et al., 2016): strided convolutions with batch norm.

The generator uses ReLU, the discriminator leaky ReLU.
"""

from dataclasses import dataclass
from math import log2
from typing import ClassVar, Literal

from torch import nn

from .base import Network, Norm, make_map_norm, refuse_other_than_squares
from .conditioning import build_one_hot_generator
from .discriminator import Discriminator, Shape


@dataclass(frozen=True)
class DCGAN(Network):
    """The family's settings.

    `width` is the number of channels at the largest maps; it doubles with every halving. The
    smallest maps are 4x4, or a quarter of the image's side if that is smaller.
    """

    works_on_slices = True
    conditional: ClassVar[bool] = True
    encodes_labels: ClassVar[bool] = True

    norm: Norm = "batch"
    generator_norm: Literal["none", "batch"] = "batch"
    width: int = 64

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width must be at least 1, not {self.width}")

    def incompatibility(self, shape: Shape) -> str | None:
        return refuse_other_than_squares("dcgan", shape)

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:
        if self.classes:
            return build_one_hot_generator(self, latent, shape)
        channels, resolution, _ = shape
        base, doublings = dcgan_scales(resolution)
        wide = self.width << (doublings - 1)
        layers = [
            nn.Unflatten(1, (latent, 1, 1)),
            nn.ConvTranspose2d(latent, wide, base, bias=False),
        ]
        for i in range(doublings - 1):
            layers += [make_map_norm(self.generator_norm, wide >> i), nn.ReLU()]
            layers += [nn.ConvTranspose2d(wide >> i, wide >> (i + 1), 4, 2, 1, bias=False)]
        layers += [make_map_norm(self.generator_norm, self.width), nn.ReLU()]
        return nn.Sequential(
            *layers, nn.ConvTranspose2d(self.width, channels, 4, 2, 1, bias=False), nn.Tanh()
        )

    def build_discriminator(self, shape: Shape) -> Discriminator:
        channels, resolution, _ = shape
        base, halvings = dcgan_scales(resolution)
        layers: list[nn.Module] = [nn.Conv2d(channels, self.width, 4, 2, 1, bias=False)]
        for i in range(halvings - 1):
            layers += [nn.LeakyReLU(0.2)]
            layers += [nn.Conv2d(self.width << i, self.width << (i + 1), 4, 2, 1, bias=False)]
            layers += [make_map_norm(self.norm, self.width << (i + 1))]
        maps = (self.width << (halvings - 1), base, base)
        head = self.build_head(maps[0] * base * base, bias=False)
        return Discriminator(nn.Sequential(*layers, nn.LeakyReLU(0.2)), maps, head)

    def initialize(self, module: nn.Module) -> None:
        """Draws weights from N(0, 0.02) and batch norm's scales from N(1, 0.02), as published."""
        super().initialize(module)
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)


def dcgan_scales(resolution: int) -> tuple[int, int]:
    """Returns the side of the smallest maps, and how often it doubles up to the resolution."""
    base = min(4, resolution // 4)
    return base, int(log2(resolution // base))
