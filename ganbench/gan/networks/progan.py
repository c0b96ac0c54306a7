"""ProGAN (Karras et al., 2018): networks that can grow, pixel norm, equalized learning rate.

Batch deviation and growing are tricks of their own. Latents lie on a sphere; images are unbounded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from .base import Network, objection_to_other_than_squares
from .discriminator import Discriminator, Head, Shape
from .equalized import EqualizedConv2d, EqualizedLinear, PixelNorm
from .filters import averaged
from .progressive import SMALLEST, Growing, drawn, levels, seen

LARGEST = 1024


@dataclass(frozen=True)
class Progan(Network):
    """`width` is the number of channels of maps up to the side `wide_to`; it halves with every doubling beyond.

    The published sizes are the defaults.
    """

    grows: ClassVar[bool] = True

    width: int = 512
    wide_to: int = 32

    def __post_init__(self) -> None:
        if self.norm != "none":
            raise ValueError("these discriminators have no normalization, as published")
        if self.width < 1 or self.wide_to < SMALLEST:
            raise ValueError(f"width must be at least 1 and wide_to at least {SMALLEST}")

    def objection(self, shape: Shape) -> str | None:
        return objection_to_other_than_squares(type(self).__name__.lower(), shape, LARGEST)

    def widths(self, side: int) -> list[int]:
        """The channels of each level's maps."""
        sides = [SMALLEST << level for level in range(levels(side) + 1)]
        return [max(1, min(self.width, self.width * self.wide_to // side)) for side in sides]

    def generator(self, latent: int, shape: Shape) -> nn.Module:
        return Generator(latent, shape, self.widths(shape[1]))

    def discriminator(self, shape: Shape) -> Discriminator:
        return judge(shape, self.widths(shape[1]), averaged)


def judge(shape: Shape, widths: list[int], halve: Callable[[Tensor], Tensor]) -> Discriminator:
    """A discriminator that grows, and halves its maps in this way."""
    maps = (widths[0], SMALLEST, SMALLEST)
    return Discriminator(Body(shape, widths, halve), maps, Judge(widths[0]))


class Generator(Growing):
    """[N, latent] => [N, *shape]"""

    def __init__(self, latent: int, shape: Shape, widths: list[int]):
        super().__init__(shape[1])
        first = nn.Sequential(
            PixelNorm(),
            EqualizedLinear(latent, widths[0] * SMALLEST**2),
            nn.Unflatten(1, (widths[0], SMALLEST, SMALLEST)),
            nn.LeakyReLU(0.2),
            PixelNorm(),
            *drawing(widths[0], widths[0]),
        )
        doublings = [
            nn.Sequential(nn.Upsample(scale_factor=2), *drawing(coarse, fine), *drawing(fine, fine))
            for coarse, fine in pairwise(widths)
        ]
        self.blocks = nn.ModuleList([first, *doublings])
        self.to_image = to_images(widths, shape[0])

    def forward(self, latents: Tensor) -> Tensor:
        return drawn(self.level, self.side, [*self.blocks], [*self.to_image], latents)


def drawing(fan_in: int, fan_out: int) -> list[nn.Module]:
    return [EqualizedConv2d(fan_in, fan_out), nn.LeakyReLU(0.2), PixelNorm()]


def to_images(widths: list[int], channels: int) -> nn.ModuleList:
    """The last layer of each level."""
    return nn.ModuleList(EqualizedConv2d(width, channels, 1, gain=1) for width in widths)


def judging(fan_in: int, fan_out: int, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(EqualizedConv2d(fan_in, fan_out, kernel), nn.LeakyReLU(0.2))


class Halving(nn.Module):
    """Two convolutions and half the side: [N, fine, 2 * S, 2 * S] => [N, coarse, S, S]."""

    def __init__(self, fine: int, coarse: int, halve: Callable[[Tensor], Tensor]):
        super().__init__()
        self.layers, self.halve = nn.Sequential(judging(fine, fine), judging(fine, coarse)), halve

    def forward(self, x: Tensor) -> Tensor:
        return self.halve(self.layers(x))


class Body(Growing):
    """[N, *shape] => maps of 4x4"""

    def __init__(self, shape: Shape, widths: list[int], halve: Callable[[Tensor], Tensor]):
        super().__init__(shape[1])
        self.from_image = nn.ModuleList(judging(shape[0], width, 1) for width in widths)
        self.blocks = nn.ModuleList(Halving(b, a, halve) for a, b in pairwise(widths))

    def forward(self, image: Tensor) -> Tensor:
        return seen(self.level, [*self.blocks], [*self.from_image], image)


class Judge(Head):
    """Scores maps of 4x4 by a convolution and two linear layers; further features join as constant maps."""

    def __init__(self, width: int, more: int = 0):
        nn.Module.__init__(self)
        self.width, self.more = width, more
        self.layers = nn.Sequential(
            judging(width + more, width),
            nn.Flatten(),
            EqualizedLinear(width * SMALLEST**2, width),
            nn.LeakyReLU(0.2),
            EqualizedLinear(width, 1, gain=1),
        )

    def forward(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        maps, further = features.split([self.width * SMALLEST**2, self.more], 1)
        further = further[:, :, None, None].expand(-1, -1, SMALLEST, SMALLEST)
        x = torch.cat([maps.unflatten(1, (self.width, SMALLEST, SMALLEST)), further], 1)
        return self.layers(x).squeeze(1)

    def widened(self, more: int) -> Head:
        return Judge(self.width, self.more + more)
