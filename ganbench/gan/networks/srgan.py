"""SRGAN's networks (Ledig et al., 2017): residual blocks, then pixel shuffling to enlarge.

The discriminator's channels double with every halving, up to 8 times `width`. Its smallest maps are
4x4 or smaller. The published `width` is 64, with 16 blocks. The hidden layer before the score has
16 times the width.
"""

from dataclasses import dataclass
from math import log2

from torch import Tensor, nn

from .base import Network, Norm, make_map_norm, refuse_other_than_squares
from .dcgan import dcgan_scales
from .discriminator import Discriminator, Head, Shape


class SRGANResidualBlock(nn.Module):
    """x plus the output of the given layers."""

    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.change = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.change(x)


@dataclass(frozen=True)
class SRGAN(Network):
    works_on_slices = True
    norm: Norm = "batch"
    width: int = 64
    blocks: int = 16

    def __post_init__(self) -> None:
        if self.width < 1 or self.blocks < 1:
            raise ValueError("width and blocks must be at least 1")

    def incompatibility(self, shape: Shape) -> str | None:
        return refuse_other_than_squares("srgan", shape)

    def translation_incompatibility(self, source: Shape, shape: Shape) -> str | None:
        if source[0] == shape[0] and shape[1] // source[1] in (1, 2, 4, 8):
            return None
        return f"srgan enlarges images by 2, 4 or 8, and {source} should become {shape}"

    def build_translator(self, source: Shape, shape: Shape) -> nn.Module:
        width, larger = self.width, int(log2(shape[1] // source[1]))
        layers: list[nn.Module] = [nn.Conv2d(source[0], width, 9, padding=4), nn.PReLU()]
        layers += [
            SRGANResidualBlock(
                *[self.make_block() for _ in range(self.blocks)], *make_convolution_and_norm(width)
            )
        ]
        for _ in range(larger):
            layers += [nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2), nn.PReLU()]
        return nn.Sequential(*layers, nn.Conv2d(width, shape[0], 9, padding=4), nn.Tanh())

    def make_block(self) -> nn.Module:
        return SRGANResidualBlock(
            *make_convolution_and_norm(self.width),
            nn.PReLU(),
            *make_convolution_and_norm(self.width),
        )

    def build_discriminator(self, shape: Shape) -> Discriminator:
        fan_in, (base, halvings) = shape[0], dcgan_scales(shape[1])
        layers: list[nn.Module] = []
        for i in range(halvings):
            wide = self.width * min(2**i, 8)
            layers += self.make_discriminator_layer(fan_in, wide, 1, self.norm if i else "none")
            layers += self.make_discriminator_layer(wide, wide, 2, self.norm)
            fan_in = wide
        hidden = 16 * self.width
        layers += [nn.Flatten(), nn.Linear(fan_in * base**2, hidden), nn.LeakyReLU(0.2)]
        return Discriminator(nn.Sequential(*layers), (hidden,), Head(hidden))

    def make_discriminator_layer(
        self, fan_in: int, fan_out: int, stride: int, norm: Norm
    ) -> list[nn.Module]:
        layers = [nn.Conv2d(fan_in, fan_out, 3, stride, 1), make_map_norm(norm, fan_out)]
        return [*layers, nn.LeakyReLU(0.2)]


def make_convolution_and_norm(width: int) -> list[nn.Module]:
    return [nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)]
