"""StyleGAN2 (Karras et al., 2020): styles modulate weights, and networks do not grow.

Modulated weights are demodulated. `skip` networks write or read images at every size. `residual`
networks add a shortcut around each block. The paper uses a skip generator and a residual
discriminator.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise, zip_longest
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu

from .discriminator import Discriminator, Shape
from .equalized import HE_GAIN, EqualizedConv2d, EqualizedLinear
from .filters import downsample_bilinear, upsample_bilinear
from .progan import ProGANHead, make_discriminator_convolution
from .progressive import BASE_RESOLUTION
from .style_mapping import LearnedConstant, NoiseInjection, StyledGenerator
from .stylegan import StyleGAN, make_filtering_convolution

Way = Literal["skip", "residual"]


@dataclass(frozen=True)
class StyleGAN2(StyleGAN):
    """The family's settings; the defaults are configuration F.

    It has twice as many channels as StyleGAN in maps of 64 and more. Configuration E has
    `wide_to=32`.
    """

    works_on_slices = True
    grows: ClassVar[bool] = False

    wide_to: int = 64
    up: Way = "skip"
    down: Way = "residual"

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:
        synthesis = StyleGAN2Synthesis(shape, self.width, self.channel_widths(shape[1]), self.up)
        return StyledGenerator(self.build_styles(latent), synthesis)

    def build_discriminator(self, shape: Shape) -> Discriminator:
        widths = self.channel_widths(shape[1])
        body = StyleGAN2DiscriminatorBody(shape[0], widths[::-1], self.down)
        return Discriminator(
            body, (widths[0], BASE_RESOLUTION, BASE_RESOLUTION), ProGANHead(widths[0])
        )


class ModulatedConv2d(nn.Module):
    """A convolution with weights that are scaled by the style and then demodulated.

    The style scales the weights per input channel. Demodulation scales those of each output channel
    to length 1. Both scales are applied to the maps instead, with the same result and without
    weights for each image of the batch. [N, fan_in, S, S], [N, width of w] => [N, fan_out, S, S]
    """

    def __init__(self, fan_in: int, fan_out: int, width: int, kernel: int, demodulate: bool = True):
        super().__init__()
        self.style = EqualizedLinear(width, fan_in, gain=1)
        self.conv = EqualizedConv2d(fan_in, fan_out, kernel, gain=1, bias=False)
        self.demodulate = demodulate

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        scale = 1 + self.style(w)
        weight = self.conv.weight
        x = conv2d(x * scale[:, :, None, None], weight, padding=self.conv.padding)
        if not self.demodulate:
            return x
        # The squared lengths of the scaled weights, per output channel: [N, fan_out]
        squares = scale.square() @ weight.square().sum((2, 3)).T
        return x * squares.add(1e-8).rsqrt()[:, :, None, None]


class StyledLayer(nn.Module):
    """A modulated convolution, noise, bias, and leaky ReLU with a gain to keep the variance."""

    def __init__(self, fan_in: int, fan_out: int, width: int):
        super().__init__()
        self.modulated, self.noise = ModulatedConv2d(fan_in, fan_out, width, 3), NoiseInjection()
        self.bias = nn.Parameter(torch.zeros(fan_out, 1, 1))

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return HE_GAIN * leaky_relu(self.noise(self.modulated(x, w)) + self.bias, 0.2)


class ToImage(nn.Module):
    """The contribution of maps to the image, without demodulation."""

    def __init__(self, fan_in: int, channels: int, width: int):
        super().__init__()
        self.modulated = ModulatedConv2d(fan_in, channels, width, 1, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return self.modulated(x, w) + self.bias


class SynthesisBlock(nn.Module):
    """Maps of twice the side, from two styled layers and, if `residual`, a shortcut."""

    def __init__(self, fan_in: int, fan_out: int, width: int, way: Way):
        super().__init__()
        self.first, self.second = (
            StyledLayer(fan_in, fan_out, width),
            StyledLayer(fan_out, fan_out, width),
        )
        self.around = make_skip(fan_in, fan_out, way)

    def forward(self, x: Tensor, one: Tensor, two: Tensor) -> Tensor:
        x = upsample_bilinear(x)
        return add_skip(self.second(self.first(x, one), two), self.around, x)


class DiscriminatorBlock(nn.Module):
    """Maps of half the side, from two convolutions and, if `residual`, a shortcut."""

    def __init__(self, fan_in: int, fan_out: int, way: Way):
        super().__init__()
        self.layers = nn.Sequential(
            make_discriminator_convolution(fan_in, fan_in),
            make_filtering_convolution(fan_in, fan_out),
        )
        self.around = make_skip(fan_in, fan_out, way)

    def forward(self, x: Tensor) -> Tensor:
        return add_skip(self.layers(x), self.around, downsample_bilinear(x))


def make_skip(fan_in: int, fan_out: int, way: Way) -> nn.Module | None:
    return EqualizedConv2d(fan_in, fan_out, 1, gain=1, bias=False) if way == "residual" else None


def add_skip(x: Tensor, around: nn.Module | None, before: Tensor) -> Tensor:
    return x if around is None else (x + around(before)) / HE_GAIN


class StyleGAN2Synthesis(nn.Module):
    """Images from styles: [N, layers or 1, width of w] => [N, *shape].

    The style of an image also serves the first layer of the next block.
    """

    def __init__(self, shape: Shape, width: int, widths: list[int], way: Way):
        super().__init__()
        self.layers = 2 * len(widths)
        self.constant = LearnedConstant(widths[0], BASE_RESOLUTION, nn.init.normal_)
        self.first = StyledLayer(widths[0], widths[0], width)
        self.doublings = nn.ModuleList(
            SynthesisBlock(a, b, width, way) for a, b in pairwise(widths)
        )
        shown = widths if way == "skip" else widths[-1:]
        self.to_image = nn.ModuleList(ToImage(channels, shape[0], width) for channels in shown)

    def forward(self, styles: Tensor) -> Tensor:
        maps = self.maps(*styles.expand(-1, self.layers, -1).unbind(1))[-len(self.to_image) :]
        images = (show(x, w) for show, (x, w) in zip(self.to_image, maps, strict=True))
        return reduce(lambda coarse, fine: upsample_bilinear(coarse) + fine, images)

    def maps(self, first: Tensor, *styles: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Returns the maps of each size, each with the style of the image that they make."""
        x = self.first(self.constant(len(first)), first)
        maps_by_size = [(x, styles[0])]
        for number, double in enumerate(self.doublings):
            one, two, shown = styles[2 * number : 2 * number + 3]
            x = double(x, one, two)
            maps_by_size.append((x, shown))
        return maps_by_size


class StyleGAN2DiscriminatorBody(nn.Module):
    """A body, [N, *shape] => maps of 4x4; `widths` start with the largest maps."""

    def __init__(self, channels: int, widths: Sequence[int], way: Way):
        super().__init__()
        read = widths if way == "skip" else widths[:1]
        self.from_image = nn.ModuleList(
            make_discriminator_convolution(channels, width, 1) for width in read
        )
        self.halvings = nn.ModuleList(DiscriminatorBlock(a, b, way) for a, b in pairwise(widths))

    def forward(self, image: Tensor) -> Tensor:
        x = self.from_image[0](image)
        for halve, read in zip_longest(self.halvings, self.from_image[1:]):
            x = halve(x)
            if read is not None:
                image = downsample_bilinear(image)
                x = x + read(image)
        return x
