"""StyleGAN (Karras et al., 2019): styles set scale and offset of maps, with added noise.

The discriminator is ProGAN's, but filters before it activates. Both networks resample with a filter,
and both can grow.
"""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import ceil
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import instance_norm, leaky_relu

from .discriminator import Discriminator, Shape
from .equalized import EqualizedConv2d, EqualizedLinear
from .filters import BilinearDownsample, upsample_bilinear
from .progan import ProGAN, build_progressive_discriminator, make_to_image_layers
from .progressive import BASE_RESOLUTION, ProgressiveModule, draw_at_level
from .style_mapping import (
    LearnedConstant,
    MappingNetwork,
    NoiseInjection,
    StyledGenerator,
    StyleMapping,
)

STYLES_PER_LEVEL = 2  # styled layers


@dataclass(frozen=True)
class StyleGAN(ProGAN):
    """The family's settings; the defaults are the published sizes.

    `width` is also that of w, and `depth` is the number of mapping layers. `mixing` acts only in
    training, `truncation` only at sampling; a `truncation` of 1 is none.
    """

    works_on_slices = True
    styled: ClassVar[bool] = True

    depth: int = 8
    mixing: float = 0.9
    truncation: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.depth < 1:
            raise ValueError(f"depth must be at least 1, not {self.depth}")
        if not 0 <= self.mixing <= 1 or not 0 <= self.truncation <= 1:
            raise ValueError("mixing and truncation must lie in [0, 1]")

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:
        synthesis = StyleGANSynthesis(shape, self.width, self.channel_widths(shape[1]))
        return StyledGenerator(self.build_styles(latent), synthesis)

    def build_discriminator(self, shape: Shape) -> Discriminator:
        return build_progressive_discriminator(
            shape, self.channel_widths(shape[1]), make_filtering_convolution
        )

    def build_styles(self, latent: int) -> StyleMapping:
        mapping = MappingNetwork(latent, self.width, self.depth)
        return StyleMapping(mapping, self.width, self.mixing, self.truncation)


def make_filtering_convolution(fine: int, coarse: int) -> nn.Sequential:
    """Returns a convolution, a filter that halves the maps, and the activation after it."""
    return nn.Sequential(EqualizedConv2d(fine, coarse, 3), BilinearDownsample(), nn.LeakyReLU(0.2))


class StyleGANSynthesis(ProgressiveModule):
    """Images from styles: [N, layers or 1, width of w] => [N, *shape]."""

    def __init__(self, shape: Shape, width: int, widths: list[int]):
        super().__init__(shape[1])
        self.constant = LearnedConstant(widths[0], BASE_RESOLUTION, nn.init.ones_)
        ways = [
            nn.Identity(),
            *(FilteredUpsample(coarse, fine) for coarse, fine in pairwise(widths)),
        ]
        levels = zip(ways, widths, strict=True)
        self.blocks = nn.ModuleList(
            SynthesisLevel(way, channels, width) for way, channels in levels
        )
        self.to_image = make_to_image_layers(widths, shape[0])

    @property
    def layers(self) -> int:
        """The number of styles at the current level."""
        return STYLES_PER_LEVEL * (ceil(self.level) + 1)

    def forward(self, styles: Tensor) -> Tensor:
        by_level = styles.expand(-1, self.layers, -1).split(STYLES_PER_LEVEL, 1)
        blocks = [
            partial(block, styles=own) for block, own in zip(self.blocks, by_level, strict=False)
        ]
        constant = self.constant(len(styles))
        return draw_at_level(self.level, self.side, blocks, [*self.to_image], constant)


class FilteredUpsample(nn.Module):
    """A doubling with a filter, and a convolution."""

    def __init__(self, fan_in: int, fan_out: int):
        super().__init__()
        self.conv = EqualizedConv2d(fan_in, fan_out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(upsample_bilinear(x))


class SynthesisLevel(nn.Module):
    """The layers at one size of maps, with two styles [N, 2, width of w]."""

    def __init__(self, way: nn.Module, channels: int, width: int):
        super().__init__()
        self.layers = nn.ModuleList([way, EqualizedConv2d(channels, channels, bias=False)])
        self.touches = nn.ModuleList(LayerEpilogue(channels, width) for _ in self.layers)

    def forward(self, x: Tensor, styles: Tensor) -> Tensor:
        for layer, touch, style in zip(self.layers, self.touches, styles.unbind(1), strict=True):
            x = touch(layer(x), style)
        return x


class LayerEpilogue(nn.Module):
    """The steps after each convolution: noise, bias, leaky ReLU and style."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.noise, self.style = NoiseInjection(channels), AdaIN(channels, width)
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return self.style(leaky_relu(self.noise(x) + self.bias, 0.2), style)


class AdaIN(nn.Module):
    """Adaptive instance normalization (Huang and Belongie, 2017), with statistics from w.

    Each map receives its mean and deviation from w: [N, channels, S, S], [N, width of w] => [N,
    channels, S, S].
    """

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.style = EqualizedLinear(width, 2 * channels, gain=1)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        scale, offset = self.style(w)[:, :, None, None].chunk(2, 1)
        return (1 + scale) * instance_norm(x, eps=1e-8) + offset
