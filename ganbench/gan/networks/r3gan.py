"""R3GAN's networks (Huang et al., 2024, configuration E): residual, without normalization.

The blocks derive from ResNeXt. A block doubles the channels, mixes places in groups of 16 channels,
and halves the channels again. Its last layer starts at zero, so the block starts as the identity.
Other layers start as in He et al. (2015), and smaller in networks of more blocks (Zhang et al.,
2019, "Fixup"). Maps are resampled with the filter [1, 3, 3, 1]; images are unbounded.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import gcd
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from .base import Network, refuse_other_than_squares
from .condition_encoder import encode_condition
from .dcgan import dcgan_scales
from .discriminator import Discriminator, Head, Shape
from .filters import downsample_bilinear, upsample_bilinear

LEAKY_SLOPE = 0.2
LEAKY_GAIN = (2 / (1 + LEAKY_SLOPE**2)) ** 0.5  # keeps the variance through leaky ReLU
CHANNELS_PER_GROUP = 16  # in the grouped convolution
FULL_WIDTH_RESOLUTION = (
    32  # the side of the largest maps with full width; the width halves with every doubling beyond
)


class NormalConv2d(nn.Conv2d):
    """A convolution without bias; weights are normal with deviation gain / sqrt(fan-in)."""

    def __init__(self, fan_in: int, fan_out: int, size: int, gain: float, groups: int = 1):
        self.gain = gain
        super().__init__(
            fan_in, fan_out, size, padding=size // 2 if size % 2 else 0, groups=groups, bias=False
        )

    def reset_parameters(self) -> None:
        fan_in = self.weight[0].numel()
        nn.init.normal_(self.weight, 0.0, self.gain / fan_in**0.5)


class BiasedLeakyReLU(nn.Module):
    """Leaky ReLU after a bias for each channel."""

    def __init__(self, channels: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return leaky_relu(x + self.bias[:, None, None], LEAKY_SLOPE)


class R3GANBlock(nn.Module):
    """x plus an inverted bottleneck of three layers; `blocks` counts the network's blocks."""

    def __init__(self, channels: int, blocks: int):
        super().__init__()
        wide, gain = 2 * channels, LEAKY_GAIN * blocks**-0.25  # Fixup's exponent for three layers
        self.inner = nn.Sequential(
            NormalConv2d(channels, wide, 1, gain),
            BiasedLeakyReLU(wide),
            NormalConv2d(wide, wide, 3, gain, groups=wide // gcd(CHANNELS_PER_GROUP, wide)),
            BiasedLeakyReLU(wide),
            NormalConv2d(wide, channels, 1, 0.0),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


class ResampleLayer(nn.Module):
    """Maps of twice or half the side; a 1x1 kernel changes the number of channels if needed."""

    def __init__(self, fan_in: int, fan_out: int, doubles: bool):
        super().__init__()
        self.doubles = doubles
        self.mix = NormalConv2d(fan_in, fan_out, 1, 1.0) if fan_in != fan_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return upsample_bilinear(self.mix(x)) if self.doubles else self.mix(downsample_bilinear(x))


class LearnedBasis(nn.Module):
    """Learned smallest maps, scaled by a linear layer: [N, width] => [N, C, side, side]."""

    def __init__(self, width: int, channels: int, side: int):
        super().__init__()
        self.maps = nn.Parameter(torch.randn(channels, side, side))
        self.strength = nn.Linear(width, channels, bias=False)

    def reset_parameters(self) -> None:
        nn.init.normal_(self.maps)

    def forward(self, x: Tensor) -> Tensor:
        return self.strength(x)[:, :, None, None] * self.maps


class InputStage(nn.Module):
    """The smallest maps from latents and, with classes, an embedding of the label."""

    def __init__(self, latent: int, classes: int, channels: int, side: int):
        super().__init__()
        self.embedding = ClassVectors(classes, latent) if classes else None
        self.basis = LearnedBasis(2 * latent if classes else latent, channels, side)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.embedding is not None:
            latents = torch.cat([latents, self.embedding(labels)], 1)
        return self.basis(latents)


class R3GANGenerator(nn.Module):
    """An input stage and the layers after it: latents [, labels] => images."""

    def __init__(self, beginning: InputStage, rest: nn.Sequential):
        super().__init__()
        self.beginning, self.rest = beginning, rest

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.rest(self.beginning(latents, labels))


class ClassVectors(nn.Embedding):
    """A vector for each class: [N] => [N, width].

    The weights are initially those of a linear layer of classes, with deviation gain / sqrt(classes).
    """

    def __init__(self, classes: int, width: int, gain: float = 1.0):
        self.gain = gain
        super().__init__(classes, width)

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, 0.0, self.gain * self.num_embeddings**-0.5)


class R3GANProjectionHead(Head):
    """A head with the score <W phi, direction(y)>: [N, width] => [N]."""

    def __init__(self, width: int, outputs: int, classes: int):
        nn.Module.__init__(self)
        self.linear = nn.Linear(width, outputs, bias=False)
        self.direction = ClassVectors(classes, outputs, outputs**-0.5)

    def encode_label(self, label: Tensor) -> Tensor:
        return encode_condition(self.direction, label)

    def forward(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        assert label is not None
        return (self.linear(features) * self.encode_label(label)).sum(1)

    def widen(self, more: int) -> Head:
        classes, outputs = self.direction.weight.shape
        return R3GANProjectionHead(self.linear.in_features + more, outputs, classes)


@dataclass(frozen=True)
class R3GAN(Network):
    """The family's settings, `width` and `blocks`.

    `width` is the number of channels of maps up to 32x32; it halves with every doubling beyond.
    `blocks` is the number of blocks at each size of maps, 2 as published for CIFAR-10 and FFHQ-64.
    """

    works_on_slices = True
    conditional: ClassVar[bool] = True
    begins_at_zero: ClassVar[bool] = True

    width: int = 768
    blocks: int = 2

    def __post_init__(self) -> None:
        if self.norm != "none":
            raise ValueError("r3gan has no normalization, as published")
        if self.width < 1 or self.blocks < 1:
            raise ValueError("width and blocks must be at least 1")

    def incompatibility(self, shape: Shape) -> str | None:
        return refuse_other_than_squares("r3gan", shape)

    def stage_widths(self, base: int, doublings: int) -> list[int]:
        """Returns the channels of each side's maps, from the smallest maps on."""
        sides = [base << i for i in range(doublings + 1)]
        return [
            max(1, self.width * FULL_WIDTH_RESOLUTION // max(FULL_WIDTH_RESOLUTION, side))
            for side in sides
        ]

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:
        channels, resolution, _ = shape
        base, doublings = dcgan_scales(resolution)
        widths = self.stage_widths(base, doublings)
        layers = self.make_stage(widths, 0)
        for i, (small, large) in enumerate(pairwise(widths), 1):
            layers += [ResampleLayer(small, large, doubles=True), *self.make_stage(widths, i)]
        beginning = InputStage(latent, self.classes, widths[0], base)
        return R3GANGenerator(
            beginning, nn.Sequential(*layers, NormalConv2d(widths[-1], channels, 1, 1.0))
        )

    def build_discriminator(self, shape: Shape) -> Discriminator:
        channels, resolution, _ = shape
        base, halvings = dcgan_scales(resolution)
        widths = self.stage_widths(base, halvings)
        layers: list[nn.Module] = [NormalConv2d(channels, widths[-1], 1, 1.0)]
        for i in range(halvings, 0, -1):
            layers += [
                *self.make_stage(widths, i),
                ResampleLayer(widths[i], widths[i - 1], doubles=False),
            ]
        width = widths[0]
        # The basis takes the dot product of each map with a learned map.
        basis = NormalConv2d(width, width, base, 1.0, groups=width)
        body = nn.Sequential(*layers, *self.make_stage(widths, 0), basis)
        return Discriminator(body, (width, 1, 1), self.build_head(width, bias=False))

    def build_head(self, width: int, bias: bool = True) -> Head:
        return (
            R3GANProjectionHead(width, width, self.classes)
            if self.classes
            else super().build_head(width, bias)
        )

    def make_stage(self, widths: list[int], number: int) -> list[nn.Module]:
        return [R3GANBlock(widths[number], self.blocks * len(widths)) for _ in range(self.blocks)]

    def initialize(self, module: nn.Module) -> None:
        """Draws weights of linear layers with deviation 1 / sqrt(fan-in)."""
        super().initialize(module)
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, module.in_features**-0.5)
