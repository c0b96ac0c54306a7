"""pix2pix's networks (Isola et al., 2017): U-Nets and patch discriminators.

The encoder halves maps `downs` times. Each layer of the decoder also gets the encoder's maps of its size.
The published values are 8 for 256 pixels, and `strided` 3. Small images need lower values. Instance norm
replaces the batch norm of the authors: at their batch of 1 both are the same.

The generator's noise is `dropout` in the first three layers of the decoder, also when images are sampled.
Of 8 layers these have maps of up to 8x8. With fewer `downs` larger maps have it, so the noise is stronger.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from ganbench.gan.batch_slices import draw_rows

from .base import Network, Norm
from .discriminator import Discriminator, Shape
from .patchgan import (
    build_patch_discriminator,
    check_at_least_one,
    draw_convolution_weights,
    refuse_other_size,
    refuse_shape,
)

LAYERS_WITH_DROPOUT = 3
WIDEST = 8  # times `width`


class DropoutNoise(nn.Module):
    """Dropout that never ends: zeros a share of values, and scales the others."""

    def __init__(self, share: float):
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        kept = draw_rows(torch.rand, x.shape, dtype=x.dtype, device=x.device) >= self.share
        return x * kept / (1 - self.share)


class UNet(nn.Module):
    """Layers that halve maps, and layers that double them: [N, C, H, W] => [N, C', H, W].

    All but the first layer of the decoder get the encoder's maps of their size beside the maps of the layer before.
    """

    def __init__(self, encoder: list[nn.Module], decoder: list[nn.Module]):
        super().__init__()
        self.encoder, self.decoder = nn.ModuleList(encoder), nn.ModuleList(decoder)

    def forward(self, x: Tensor) -> Tensor:
        skipped = []
        for layer in self.encoder:
            x = layer(x)
            skipped.append(x)
        first, *others = self.decoder
        x = first(skipped.pop())
        for layer in others:
            x = layer(torch.cat([skipped.pop(), x], 1))
        return x


@dataclass(frozen=True)
class Pix2Pix(Network):
    works_on_slices = True

    norm: Norm = "instance"
    width: int = 64
    downs: int = 8
    strided: int = 3
    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_at_least_one(self, "width", "downs", "strided")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, not {self.dropout}")

    def incompatibility(self, shape: Shape) -> str | None:
        return refuse_shape("pix2pix", shape, self.downs, self.strided)

    def translation_incompatibility(self, source: Shape, shape: Shape) -> str | None:
        return refuse_other_size("pix2pix", source, shape)

    def build_translator(self, source: Shape, shape: Shape) -> nn.Module:
        widths = [self.width * min(2**i, WIDEST) for i in range(self.downs)]
        last = self.downs - 1
        encoder: list[nn.Module] = [make_halving_convolution(source[0], widths[0])]
        encoder += [
            make_encoder_layer(fan_in, fan_out, is_normed=i < last)
            for i, (fan_in, fan_out) in enumerate(pairwise(widths), start=1)
        ]
        decoder = [self.make_decoder_layer(i, widths) for i in range(last)]
        fan_in = widths[0] * (2 if last else 1)
        decoder += [
            nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(fan_in, shape[0], 4, 2, 1), nn.Tanh())
        ]
        return UNet(encoder, decoder)

    def make_decoder_layer(self, number: int, widths: list[int]) -> nn.Module:
        """Returns layer `number` of the decoder, which begins at the innermost width."""
        fan_out, fan_in = widths[-number - 2 :][:2]
        convolution = nn.ConvTranspose2d(
            fan_in * (2 if number else 1), fan_out, 4, 2, 1, bias=False
        )
        layers = [nn.ReLU(), convolution, nn.InstanceNorm2d(fan_out, affine=True)]
        if self.dropout and number < LAYERS_WITH_DROPOUT:
            layers += [DropoutNoise(self.dropout)]
        return nn.Sequential(*layers)

    def build_discriminator(self, shape: Shape) -> Discriminator:
        return build_patch_discriminator(shape, self.width, self.strided, self.norm, affine=True)

    def initialize(self, module: nn.Module) -> None:
        """Draws weights from N(0, 0.02) and scales of norms from N(1, 0.02), as published."""
        super().initialize(module)
        draw_convolution_weights(module)
        if isinstance(module, nn.InstanceNorm2d | nn.BatchNorm2d) and module.affine:
            nn.init.normal_(module.weight, 1.0, 0.02)


def make_encoder_layer(fan_in: int, fan_out: int, is_normed: bool) -> nn.Module:
    """Returns an activation, a convolution that halves maps, and the norm if there is one."""
    norm = [nn.InstanceNorm2d(fan_out, affine=True)] if is_normed else []
    return nn.Sequential(nn.LeakyReLU(0.2), make_halving_convolution(fan_in, fan_out), *norm)


def make_halving_convolution(fan_in: int, fan_out: int) -> nn.Module:
    return nn.Conv2d(fan_in, fan_out, 4, 2, 1, bias=False)
