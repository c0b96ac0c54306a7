"""ProGAN (Karras et al., 2018): growing networks, pixel norm, equalized learning rate.

Growing and minibatch standard deviation are separate tricks. Latents are normalized to a sphere;
images are unbounded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from .base import Network, refuse_other_than_squares
from .discriminator import Discriminator, Head, Shape
from .equalized import EqualizedConv2d, EqualizedLinear, PixelNorm
from .progressive import (
    BASE_RESOLUTION,
    ProgressiveModule,
    count_levels,
    draw_at_level,
    encode_at_level,
)

MAX_PROGAN_RESOLUTION = 1024

MakeHalving = Callable[
    [int, int], nn.Module
]  # channels before and after => a convolution that halves


@dataclass(frozen=True)
class ProGAN(Network):
    """The family's settings; the defaults are the published sizes.

    `width` is the number of channels of maps up to the side `wide_to`. It halves with every
    doubling beyond.
    """

    works_on_slices = True
    grows: ClassVar[bool] = True

    width: int = 512
    wide_to: int = 32

    def __post_init__(self) -> None:
        if self.norm != "none":
            raise ValueError("these discriminators have no normalization, as published")
        if self.width < 1 or self.wide_to < BASE_RESOLUTION:
            raise ValueError(f"width must be at least 1 and wide_to at least {BASE_RESOLUTION}")

    def incompatibility(self, shape: Shape) -> str | None:
        return refuse_other_than_squares(type(self).__name__.lower(), shape, MAX_PROGAN_RESOLUTION)

    def channel_widths(self, side: int) -> list[int]:
        """Returns the channels of each level's maps."""
        sides = [BASE_RESOLUTION << level for level in range(count_levels(side) + 1)]
        return [max(1, min(self.width, self.width * self.wide_to // side)) for side in sides]

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:
        return ProgressiveGenerator(latent, shape, self.channel_widths(shape[1]))

    def build_discriminator(self, shape: Shape) -> Discriminator:
        return build_progressive_discriminator(
            shape, self.channel_widths(shape[1]), make_averaging_convolution
        )


def build_progressive_discriminator(
    shape: Shape, widths: list[int], make_halving: MakeHalving
) -> Discriminator:
    """Builds a discriminator that can grow; `make_halving` ends each block."""
    maps = (widths[0], BASE_RESOLUTION, BASE_RESOLUTION)
    return Discriminator(
        ProgressiveDiscriminatorBody(shape, widths, make_halving), maps, ProGANHead(widths[0])
    )


class ProgressiveGenerator(ProgressiveModule):
    """A generator that can grow: [N, latent] => [N, *shape]."""

    def __init__(self, latent: int, shape: Shape, widths: list[int]):
        super().__init__(shape[1])
        first = nn.Sequential(
            PixelNorm(),
            EqualizedLinear(latent, widths[0] * BASE_RESOLUTION**2),
            nn.Unflatten(1, (widths[0], BASE_RESOLUTION, BASE_RESOLUTION)),
            nn.LeakyReLU(0.2),
            PixelNorm(),
            *make_generator_convolution(widths[0], widths[0]),
        )
        doublings = [
            nn.Sequential(
                nn.Upsample(scale_factor=2),
                *make_generator_convolution(coarse, fine),
                *make_generator_convolution(fine, fine),
            )
            for coarse, fine in pairwise(widths)
        ]
        self.blocks = nn.ModuleList([first, *doublings])
        self.to_image = make_to_image_layers(widths, shape[0])

    def forward(self, latents: Tensor) -> Tensor:
        return draw_at_level(self.level, self.side, [*self.blocks], [*self.to_image], latents)


def make_generator_convolution(fan_in: int, fan_out: int) -> list[nn.Module]:
    return [EqualizedConv2d(fan_in, fan_out), nn.LeakyReLU(0.2), PixelNorm()]


def make_to_image_layers(widths: list[int], channels: int) -> nn.ModuleList:
    """Returns the output layer of each level."""
    return nn.ModuleList(EqualizedConv2d(width, channels, 1, gain=1) for width in widths)


def make_discriminator_convolution(fan_in: int, fan_out: int, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(EqualizedConv2d(fan_in, fan_out, kernel), nn.LeakyReLU(0.2))


def make_averaging_convolution(fine: int, coarse: int) -> nn.Sequential:
    """Returns a convolution, its activation, and the mean over 2x2 pixels, as in ProGAN."""
    return nn.Sequential(EqualizedConv2d(fine, coarse, 3), nn.LeakyReLU(0.2), nn.AvgPool2d(2))


class ProGANDownBlock(nn.Module):
    """Two convolutions; the last halves: [N, fine, 2 * S, 2 * S] => [N, coarse, S, S]."""

    def __init__(self, fine: int, coarse: int, make_halving: MakeHalving):
        super().__init__()
        self.layers = nn.Sequential(
            make_discriminator_convolution(fine, fine), make_halving(fine, coarse)
        )

    def forward(self, x: Tensor) -> Tensor:
        halved: Tensor = self.layers(x)
        return halved


class ProgressiveDiscriminatorBody(ProgressiveModule):
    """The body of a discriminator that can grow: [N, *shape] => maps of 4x4."""

    def __init__(self, shape: Shape, widths: list[int], make_halving: MakeHalving):
        super().__init__(shape[1])
        self.from_image = nn.ModuleList(
            make_discriminator_convolution(shape[0], width, 1) for width in widths
        )
        self.blocks = nn.ModuleList(
            ProGANDownBlock(b, a, make_halving) for a, b in pairwise(widths)
        )

    def forward(self, image: Tensor) -> Tensor:
        return encode_at_level(self.level, [*self.blocks], [*self.from_image], image)


class ProGANHead(Head):
    """A head on maps of 4x4: a convolution and two linear layers.

    Additional features are appended to the maps as constant maps.
    """

    def __init__(self, width: int, more: int = 0):
        nn.Module.__init__(self)
        self.width, self.more = width, more
        self.layers = nn.Sequential(
            make_discriminator_convolution(width + more, width),
            nn.Flatten(),
            EqualizedLinear(width * BASE_RESOLUTION**2, width),
            nn.LeakyReLU(0.2),
            EqualizedLinear(width, 1, gain=1),
        )

    def forward(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        maps, further = features.split([self.width * BASE_RESOLUTION**2, self.more], 1)
        further = further[:, :, None, None].expand(-1, -1, BASE_RESOLUTION, BASE_RESOLUTION)
        x = torch.cat(
            [maps.unflatten(1, (self.width, BASE_RESOLUTION, BASE_RESOLUTION)), further], 1
        )
        return self.layers(x).squeeze(1)

    def widen(self, more: int) -> Head:
        return ProGANHead(self.width, self.more + more)
