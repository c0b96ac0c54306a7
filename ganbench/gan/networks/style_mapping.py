"""Style mapping (Karras et al., 2019): latents => w, the source of all styles.

In training, most images mix the styles of two latents, with a crossover at a random layer. At
sampling, styles may be truncated: they move towards the mean of w, which is tracked in training.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.gan.batch_slices import draw_normal_like, draw_rows, mean_over_slices

from .equalized import EqualizedLinear, PixelNorm

MAPPING_LEARNING_RATE = 0.01  # relative to the learning rate of other layers
AVERAGE_UPDATE_SHARE = 0.005  # the share of each batch in the moving mean of w


class MappingNetwork(nn.Sequential):
    """`depth` linear layers from latents to w: [N, latent] => [N, width]."""

    def __init__(self, latent: int, width: int, depth: int):
        layers: list[nn.Module] = [PixelNorm()]
        for number in range(depth):
            fan_in = width if number else latent
            layers += [
                EqualizedLinear(fan_in, width, rate=MAPPING_LEARNING_RATE),
                nn.LeakyReLU(0.2),
            ]
        super().__init__(*layers)
        self.latent = latent


class StyleMapping(nn.Module):
    """The styles of layers from latents: [N, latent] => [N, layers, width].

    `mixing` is the share of images with styles of two latents. With `truncation` 1 styles stay
    unchanged; with 0 all styles are the mean.
    """

    mean: Tensor  # of w, [width]

    def __init__(self, mapping: MappingNetwork, width: int, mixing: float, truncation: float):
        super().__init__()
        self.mapping, self.mixing, self.truncation = mapping, mixing, truncation
        self.register_buffer("mean", torch.zeros(width))

    def forward(self, latents: Tensor, layers: int) -> Tensor:
        w = self.mapping(latents)
        if self.training:
            self.update_average(w)
            if self.mixing:
                other = self.mapping(draw_normal_like(latents))
                return mix_styles(w, other, layers, self.mixing)
        elif self.truncation < 1:
            w = self.mean.lerp(w, self.truncation)
        return w[:, None].expand(-1, layers, -1)

    @torch.no_grad()
    def update_average(self, w: Tensor) -> None:
        self.mean.lerp_(mean_over_slices(w.mean(0)).to(self.mean.dtype), AVERAGE_UPDATE_SHARE)


def mix_styles(w: Tensor, other: Tensor, layers: int, share: float) -> Tensor:
    """Mixes the styles of two latents, for a share of the images.

    The first styles are from w and the last from `other`. The crossover layer is drawn for each
    image.
    """
    layer = torch.arange(layers, device=w.device)
    over = draw_rows(partial(torch.randint, 1, layers), (len(w), 1), device=w.device)
    mixed = draw_rows(torch.rand, (len(w), 1), device=w.device) < share
    return torch.where((mixed & (layer >= over))[:, :, None], other[:, None], w[:, None])


class StyledGenerator(nn.Module):
    """A generator of a style mapping and a synthesis: [N, latent] => [N, *shape].

    `synthesis` maps styles [N, layers or 1, width] to images, and has the attribute `layers`.
    """

    def __init__(self, styles: StyleMapping, synthesis: Any):
        super().__init__()
        self.styles, self.synthesis = styles, synthesis

    def forward(self, latents: Tensor) -> Tensor:
        return self.synthesis(self.styles(latents, self.synthesis.layers))


class LearnedConstant(nn.Module):
    """Learned first maps, the same for every image: [1, channels, side, side]."""

    def __init__(self, channels: int, side: int, begin: Callable[[Tensor], Tensor]):
        super().__init__()
        self.maps, self.begin = nn.Parameter(torch.empty(1, channels, side, side)), begin

    def reset_parameters(self) -> None:
        self.begin(self.maps)

    def forward(self, count: int) -> Tensor:
        return self.maps.expand(count, -1, -1, -1)


class NoiseInjection(nn.Module):
    """Added noise, the same in all channels, times a learned scale.

    There is one scale, or one for each channel.
    """

    def __init__(self, scales: int = 1):
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(scales, 1, 1))

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.scale)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * draw_normal_like(x[:, :1])
