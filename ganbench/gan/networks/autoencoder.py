"""BEGAN's networks (Berthelot et al., 2017): the discriminator is an autoencoder.

Its decoder has the architecture of the generator. Every scale has two convolutions with ELU. The
encoder's channels grow by `width` with every halving. The smallest maps are 8x8, or half of the
image if that is smaller.
"""

from dataclasses import dataclass
from math import log2
from typing import ClassVar

from torch import Tensor, nn

from .base import Network, refuse_other_than_squares
from .discriminator import Discriminator, Head, Shape


class ReconstructionError(nn.Module):
    """The difference of an image to its reconstruction: [N, C, H, W] => [N, C, H, W]."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, x: Tensor) -> Tensor:
        return x - self.decoder(self.encoder(x))


class ReconstructionEnergy(Head):
    """A head with the negative mean absolute error as score: [N, F] => [N]."""

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def forward(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        return features.abs().mean(1).neg()

    def widen(self, more: int) -> Head:
        raise NotImplementedError("an energy has no weights for further features")


@dataclass(frozen=True)
class Autoencoder(Network):
    """The family's settings, `width` and `code`.

    `code` is the number of values between encoder and decoder. The published width is 64 to 128.
    """

    works_on_slices = True
    energy: ClassVar[bool] = True

    width: int = 64
    code: int = 64

    def __post_init__(self) -> None:
        if self.norm != "none":
            raise ValueError("the autoencoder has no normalization, as published")
        if self.width < 1 or self.code < 1:
            raise ValueError("width and code must be at least 1")

    def incompatibility(self, shape: Shape) -> str | None:
        return refuse_other_than_squares("autoencoder", shape)

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:
        return self.build_decoder(latent, shape)

    def build_discriminator(self, shape: Shape) -> Discriminator:
        body = ReconstructionError(self.build_encoder(shape), self.build_decoder(self.code, shape))
        return Discriminator(body, shape, ReconstructionEnergy())

    def build_encoder(self, shape: Shape) -> nn.Sequential:
        channels, resolution, _ = shape
        base, halvings = autoencoder_scales(resolution)
        layers = [nn.Conv2d(channels, self.width, 3, padding=1), nn.ELU()]
        for i in range(1, halvings + 1):
            layers += make_convolution_pair(i * self.width)
            layers += [nn.Conv2d(i * self.width, (i + 1) * self.width, 3, 2, 1), nn.ELU()]
        wide = (halvings + 1) * self.width
        return nn.Sequential(
            *layers,
            *make_convolution_pair(wide),
            nn.Flatten(),
            nn.Linear(wide * base**2, self.code),
        )

    def build_decoder(self, code: int, shape: Shape) -> nn.Sequential:
        channels, resolution, _ = shape
        base, doublings = autoencoder_scales(resolution)
        layers = [
            nn.Linear(code, self.width * base**2),
            nn.Unflatten(1, (self.width, base, base)),
            *make_convolution_pair(self.width),
        ]
        for _ in range(doublings):
            layers += [nn.Upsample(scale_factor=2), *make_convolution_pair(self.width)]
        return nn.Sequential(*layers, nn.Conv2d(self.width, channels, 3, padding=1))


def make_convolution_pair(channels: int) -> list[nn.Module]:
    """Returns the two convolutions of a scale, each with ELU."""
    return [
        layer for _ in range(2) for layer in (nn.Conv2d(channels, channels, 3, padding=1), nn.ELU())
    ]


def autoencoder_scales(resolution: int) -> tuple[int, int]:
    """Returns the side of the smallest maps, and how often it doubles up to the resolution."""
    base = min(8, resolution // 2)
    return base, int(log2(resolution // base))
