"""DF-GAN's networks (Tao et al., 2022): text scales and shifts maps before convolutions.

The generator has one stage of residual blocks without normalization. Before each convolution the
maps are scaled and shifted twice, by perceptrons of the latents and the code of the sentence. The
discriminator's blocks add a learned share of their convolutions, initially zero, to a plain path.
It joins the code to its last maps of 4x4.

The published codes are of a text encoder that was trained before; here each network trains its own.
Labels without captions have a learned code each.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import log2
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, leaky_relu

from .base import Network, refuse_other_than_squares
from .condition_encoder import EncoderKind, encode_condition, make_condition_encoder
from .discriminator import Discriminator, Head, Shape
from .joint_head import JointHead

MAX_DOUBLINGS = 3  # of the width, from the largest maps to smaller ones
SLOPE = 0.2  # of leaky ReLU
SMALLEST = 4  # side of the smallest maps
LARGEST = 256  # side of the largest images


class ConstantLinear(nn.Linear):
    """A linear layer that initially returns one constant: [N, I] => [N, O]."""

    def __init__(self, fan_in: int, fan_out: int, constant: float):
        self.constant = constant
        super().__init__(fan_in, fan_out)

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)
        nn.init.constant_(self.bias, self.constant)


class Affine(nn.Module):
    """A scale and a shift of each channel from a condition; initially the identity."""

    def __init__(self, condition: int, channels: int):
        super().__init__()
        self.scale, self.shift = (
            nn.Sequential(
                nn.Linear(condition, channels),
                nn.ReLU(),
                ConstantLinear(channels, channels, constant),
            )
            for constant in (1.0, 0.0)
        )

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:  # [N, C, H, W], [N, condition]
        scale, shift = self.scale(condition), self.shift(condition)
        return x * scale[:, :, None, None] + shift[:, :, None, None]


class DeepFusion(nn.Module):
    """Two affine maps, each before a leaky ReLU, and a convolution."""

    def __init__(self, condition: int, fan_in: int, fan_out: int):
        super().__init__()
        self.first, self.second = Affine(condition, fan_in), Affine(condition, fan_in)
        self.convolution = nn.Conv2d(fan_in, fan_out, 3, padding=1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        for affine in (self.first, self.second):
            x = leaky_relu(affine(x, condition), SLOPE)
        return self.convolution(x)


class FusionUpBlock(nn.Module):
    """A residual block to maps of twice the side."""

    def __init__(self, condition: int, fan_in: int, fan_out: int):
        super().__init__()
        self.first = DeepFusion(condition, fan_in, fan_out)
        self.second = DeepFusion(condition, fan_out, fan_out)
        self.past = nn.Conv2d(fan_in, fan_out, 1) if fan_in != fan_out else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        x = interpolate(x, scale_factor=2)
        return self.past(x) + self.second(self.first(x, condition), condition)


class TextGenerator(nn.Module):
    """A generator of latents and labels, which every block receives; labels may be codes."""

    def __init__(
        self,
        encoder: nn.Module | None,
        latent: int,
        code: int,
        widths: list[int],  # of the smallest maps, and after each block
        channels: int,  # of the image
    ):
        super().__init__()
        self.encoder = encoder
        self.smallest = nn.Linear(latent, widths[0] * SMALLEST**2)
        pairs = pairwise(widths)
        self.blocks = nn.ModuleList(FusionUpBlock(latent + code, *pair) for pair in pairs)
        self.to_image = nn.Sequential(
            nn.LeakyReLU(SLOPE), nn.Conv2d(widths[-1], channels, 3, padding=1), nn.Tanh()
        )

    def encode_label(self, label: Tensor) -> Tensor:
        assert self.encoder is not None
        return encode_condition(self.encoder, label)

    def forward(self, latents: Tensor, label: Tensor | None = None) -> Tensor:
        codes = [] if label is None else [self.encode_label(label)]
        condition = torch.cat([latents, *codes], 1)
        x = self.smallest(latents).unflatten(1, (-1, SMALLEST, SMALLEST))
        for block in self.blocks:
            x = block(x, condition)
        return self.to_image(x)


class ShareDownBlock(nn.Module):
    """A block to maps of half the side: a plain path, and a learned share of two convolutions."""

    def __init__(self, fan_in: int, fan_out: int):
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(fan_in, fan_out, 4, 2, 1, bias=False),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(fan_out, fan_out, 3, 1, 1, bias=False),
            nn.LeakyReLU(SLOPE),
        )
        self.past = nn.Conv2d(fan_in, fan_out, 1) if fan_in != fan_out else nn.Identity()
        self.share = nn.Parameter(torch.zeros(1))

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.share)

    def forward(self, x: Tensor) -> Tensor:
        return avg_pool2d(self.past(x), 2) + self.share * self.convolutions(x)


@dataclass(frozen=True)
class DFGAN(Network):
    """The family's settings.

    `width` is the number of channels at the largest maps; it doubles with every halving, up to
    eight times. `code` is the size of each condition, and `encoder` the kind of its encoder.
    """

    works_on_slices = True
    conditional: ClassVar[bool] = True
    encodes_labels: ClassVar[bool] = True
    generator_begins_at_zero: ClassVar[bool] = True

    width: int = 32
    code: int = 256
    encoder: EncoderKind = "gru"

    def __post_init__(self) -> None:
        if self.width < 1 or self.code < 1:
            raise ValueError("width and code must be at least 1")
        if self.norm != "none":
            raise ValueError("dfgan has no normalization, as published")

    def incompatibility(self, shape: Shape) -> str | None:
        return refuse_other_than_squares("dfgan", shape, LARGEST)

    def widths(self, side: int) -> list[int]:
        """Returns the channels of each size of maps, from the largest to the smallest."""
        halvings = int(log2(side // SMALLEST))
        return [self.width << min(number, MAX_DOUBLINGS) for number in range(halvings + 1)]

    def build_encoder(self) -> nn.Module:
        return make_condition_encoder(self.encoder, self.classes, self.captions, self.code)

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:
        encoder, code = (self.build_encoder(), self.code) if self.classes else (None, 0)
        return TextGenerator(encoder, latent, code, self.widths(shape[1])[::-1], shape[0])

    def build_discriminator(self, shape: Shape) -> Discriminator:
        widths = self.widths(shape[1])
        blocks = [ShareDownBlock(*pair) for pair in pairwise(widths)]
        body = nn.Sequential(nn.Conv2d(shape[0], self.width, 3, padding=1), *blocks)
        maps = (widths[-1], SMALLEST, SMALLEST)
        head = self.build_joint_head(maps) if self.classes else Head(widths[-1] * SMALLEST**2)
        return Discriminator(body, maps, head)

    def build_joint_head(self, maps: Shape) -> Head:
        hidden = 2 * self.width
        mix = nn.Sequential(
            nn.Conv2d(maps[0] + self.code, hidden, 3, padding=1, bias=False), nn.LeakyReLU(SLOPE)
        )
        return JointHead(self.build_encoder(), self.code, maps, mix, hidden)
