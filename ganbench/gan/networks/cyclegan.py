"""CycleGAN's networks (Zhu et al., 2017): residual translators and patch discriminators.

Translators follow Johnson et al. (2016): they halve maps `downs` times, apply `blocks` residual
blocks, and double maps again. Discriminators score patches, with `strided` strided convolutions.
The published values are 2, 9 (6 for 128 pixels) and 3. Small images need lower values.
"""

from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

from torch import Tensor, nn

from .base import Network, Norm
from .discriminator import Discriminator, Shape
from .patchgan import (
    build_patch_discriminator,
    check_at_least_one,
    draw_convolution_weights,
    refuse_other_size,
    refuse_shape,
)


class ResidualBlock(nn.Module):
    """x plus two convolutions of it: [N, C, H, W] => [N, C, H, W]."""

    def __init__(self, channels: int):
        super().__init__()
        self.change = nn.Sequential(*make_reflection_convolution(channels, channels, 3), nn.ReLU())
        self.change.extend(make_reflection_convolution(channels, channels, 3))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.change(x)


class Translator(nn.Sequential):
    """A sequence of layers with access to the maps of its encoder."""

    def __init__(self, layers: list[nn.Module], told: list[int]):
        super().__init__(*layers)
        self.told = told  # indices of the layers with maps in `features`

    def features(self, x: Tensor) -> list[Tensor]:
        """Returns the image itself and the maps of the chosen layers, [N, C, H, W] each."""
        maps = [x]
        for number, layer in enumerate(islice(self, max(self.told) + 1)):
            x = layer(x)
            maps += [x] if number in self.told else []
        return maps


@dataclass(frozen=True)
class CycleGAN(Network):
    works_on_slices = True
    encodes: ClassVar[bool] = True

    norm: Norm = "instance"
    width: int = 64
    blocks: int = 9
    downs: int = 2
    strided: int = 3

    def __post_init__(self) -> None:
        check_at_least_one(self, "width", "blocks", "downs", "strided")

    def incompatibility(self, shape: Shape) -> str | None:
        return refuse_shape("cyclegan", shape, self.downs, self.strided, 2 ** (self.downs + 1))

    def translation_incompatibility(self, source: Shape, shape: Shape) -> str | None:
        return refuse_other_size("cyclegan", source, shape)

    def build_translator(self, source: Shape, shape: Shape) -> nn.Module:
        layers, strides = [*make_reflection_convolution(source[0], self.width, 7), nn.ReLU()], []
        for i in range(self.downs):
            fan_in, fan_out = self.width << i, self.width << (i + 1)
            strides += [len(layers)]
            layers += [nn.Conv2d(fan_in, fan_out, 3, 2, 1), nn.InstanceNorm2d(fan_out), nn.ReLU()]
        first, middle = len(layers), len(layers) + (self.blocks - 1) // 2
        layers += [ResidualBlock(self.width << self.downs) for _ in range(self.blocks)]
        for i in reversed(range(self.downs)):
            fan_in, fan_out = self.width << (i + 1), self.width << i
            layers += [nn.ConvTranspose2d(fan_in, fan_out, 3, 2, 1, 1)]
            layers += [nn.InstanceNorm2d(fan_out), nn.ReLU()]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(self.width, shape[0], 7), nn.Tanh()]
        return Translator(layers, [*strides, first, middle])

    def build_discriminator(self, shape: Shape) -> Discriminator:
        return build_patch_discriminator(shape, self.width, self.strided, self.norm)

    def initialize(self, module: nn.Module) -> None:
        """Draws weights from N(0, 0.02) and sets biases to 0, as published."""
        super().initialize(module)
        draw_convolution_weights(module)


def make_reflection_convolution(fan_in: int, fan_out: int, kernel: int) -> list[nn.Module]:
    """Returns a convolution with reflection padding and instance norm."""
    return [
        nn.ReflectionPad2d(kernel // 2),
        nn.Conv2d(fan_in, fan_out, kernel),
        nn.InstanceNorm2d(fan_out),
    ]
