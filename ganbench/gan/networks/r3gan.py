"""R3GAN's networks (Huang et al., 2024, configuration E): residual, without norms, grown from ResNeXt's blocks.

A block widens twofold, mixes places in groups of 16 channels, and narrows; its last layer begins at zero,
so that it begins as the identity, and the others as by He et al. (2015), smaller the more blocks there are
(Zhang et al., 2019, "Fixup"). Maps are resampled bilinearly, and images are unbounded.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import gcd
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

from .base import Network, objection_to_other_than_squares
from .dcgan import scales
from .discriminator import Discriminator, Head, Shape

SLOPE = 0.2
GAIN = (2 / (1 + SLOPE**2)) ** 0.5  # keeps the variance through leaky ReLU
GROUP = 16  # channels that are mixed with one another
WIDE = 32  # the side of the largest maps of full width; it halves with every doubling beyond


class Scaled(nn.Conv2d):
    """A kernel without bias, whose weights are normal with deviation gain / sqrt(fan-in)."""

    def __init__(self, fan_in: int, fan_out: int, size: int, gain: float, groups: int = 1):
        self.gain = gain
        super().__init__(
            fan_in, fan_out, size, padding=size // 2 if size % 2 else 0, groups=groups, bias=False
        )

    def reset_parameters(self) -> None:
        fan_in = self.weight[0].numel()
        nn.init.normal_(self.weight, 0.0, self.gain / fan_in**0.5)


class Bent(nn.Module):
    """Leaky ReLU behind a bias for each channel."""

    def __init__(self, channels: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return leaky_relu(x + self.bias[:, None, None], SLOPE)


class Block(nn.Module):
    """x + an inverted bottleneck of three layers; `blocks` is how many there are in the network."""

    def __init__(self, channels: int, blocks: int):
        super().__init__()
        wide, gain = 2 * channels, GAIN * blocks**-0.25  # Fixup's exponent for three layers
        self.inner = nn.Sequential(
            Scaled(channels, wide, 1, gain),
            Bent(wide),
            Scaled(wide, wide, 3, gain, groups=wide // gcd(GROUP, wide)),
            Bent(wide),
            Scaled(wide, channels, 1, 0.0),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


class Resampled(nn.Module):
    """Maps of `factor` times the side; a 1x1 kernel changes the number of channels where it must."""

    def __init__(self, fan_in: int, fan_out: int, factor: float):
        super().__init__()
        self.factor = factor
        self.mix = Scaled(fan_in, fan_out, 1, 1.0) if fan_in != fan_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        if self.factor < 1:
            return self.mix(interpolate(x, scale_factor=self.factor, mode="bilinear"))
        return interpolate(self.mix(x), scale_factor=self.factor, mode="bilinear")


class Basis(nn.Module):
    """Learned smallest maps, each as strong as a linear layer says: [N, width] => [N, C, side, side]."""

    def __init__(self, width: int, channels: int, side: int):
        super().__init__()
        self.maps = nn.Parameter(torch.randn(channels, side, side))
        self.strength = nn.Linear(width, channels, bias=False)

    def reset_parameters(self) -> None:
        nn.init.normal_(self.maps)

    def forward(self, x: Tensor) -> Tensor:
        return self.strength(x)[:, :, None, None] * self.maps


class Beginning(nn.Module):
    """The smallest maps of latents, and of an embedding of the label beside them if there are classes."""

    def __init__(self, latent: int, classes: int, channels: int, side: int):
        super().__init__()
        self.embedding = nn.Embedding(classes, latent) if classes else None
        self.basis = Basis(2 * latent if classes else latent, channels, side)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.embedding is not None:
            latents = torch.cat([latents, self.embedding(labels)], 1)
        return self.basis(latents)


class Grown(nn.Module):
    """What makes the smallest maps, and what makes images of them: latents [, labels] => images."""

    def __init__(self, beginning: Beginning, rest: nn.Sequential):
        super().__init__()
        self.beginning, self.rest = beginning, rest

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.rest(self.beginning(latents, labels))


class Direction(nn.Embedding):
    """For each class a vector, of length about 1 to begin with."""

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, 0.0, self.embedding_dim**-0.5)


class Match(Head):
    """The score is <W phi, direction(y)>."""

    def __init__(self, width: int, outputs: int, classes: int):
        nn.Module.__init__(self)
        self.linear = nn.Linear(width, outputs, bias=False)
        self.direction = Direction(classes, outputs)

    def forward(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        assert label is not None
        return (self.linear(features) * self.direction(label)).sum(1)

    def widened(self, more: int) -> Head:
        classes, outputs = self.direction.weight.shape
        return Match(self.linear.in_features + more, outputs, classes)


@dataclass(frozen=True)
class R3Gan(Network):
    """`width` is that of maps up to 32x32, and halves beyond; as published for CIFAR-10 and FFHQ-64 there are
    2 `blocks` for each side of maps.
    """

    conditional: ClassVar[bool] = True
    begins_at_zero: ClassVar[bool] = True

    width: int = 768
    blocks: int = 2

    def __post_init__(self) -> None:
        if self.norm != "none":
            raise ValueError("r3gan has no normalization, as published")
        if self.width < 1 or self.blocks < 1:
            raise ValueError("width and blocks must be at least 1")

    def objection(self, shape: Shape) -> str | None:
        return objection_to_other_than_squares("r3gan", shape)

    def widths(self, base: int, doublings: int) -> list[int]:
        """The channels of the maps of each side, from the smallest on."""
        sides = [base << i for i in range(doublings + 1)]
        return [max(1, self.width * WIDE // max(WIDE, side)) for side in sides]

    def generator(self, latent: int, shape: Shape) -> nn.Module:
        channels, resolution, _ = shape
        base, doublings = scales(resolution)
        widths = self.widths(base, doublings)
        layers = self.stage(widths, 0)
        for i, (small, large) in enumerate(pairwise(widths), 1):
            layers += [Resampled(small, large, 2.0), *self.stage(widths, i)]
        beginning = Beginning(latent, self.classes, widths[0], base)
        return Grown(beginning, nn.Sequential(*layers, Scaled(widths[-1], channels, 1, 1.0)))

    def discriminator(self, shape: Shape) -> Discriminator:
        channels, resolution, _ = shape
        base, halvings = scales(resolution)
        widths = self.widths(base, halvings)
        layers: list[nn.Module] = [Scaled(channels, widths[-1], 1, 1.0)]
        for i in range(halvings, 0, -1):
            layers += [*self.stage(widths, i), Resampled(widths[i], widths[i - 1], 0.5)]
        width = widths[0]
        basis = Scaled(
            width, width, base, 1.0, groups=width
        )  # each map's agreement with a learned one
        body = nn.Sequential(*layers, *self.stage(widths, 0), basis)
        return Discriminator(body, (width, 1, 1), self.head(width, bias=False))

    def head(self, width: int, bias: bool = True) -> Head:
        return Match(width, width, self.classes) if self.classes else super().head(width, bias)

    def stage(self, widths: list[int], number: int) -> list[nn.Module]:
        return [Block(widths[number], self.blocks * len(widths)) for _ in range(self.blocks)]

    def initialize(self, module: nn.Module) -> None:
        """Linear layers are normal with deviation 1 / sqrt(fan-in)."""
        super().initialize(module)
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, module.in_features**-0.5)
