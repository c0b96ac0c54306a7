"""Beyond MSE's networks (Mathieu et al., 2016): frame after frame, at several scales.

A stack of convolutions makes the next frame at each scale. It receives the last frames, and the
prediction of the scale below, enlarged; it changes that prediction. The smallest scale has maps of
4x4, or a quarter of the side if that is smaller. A predicted frame is the last one of the next step.

The published `width` is 128. In the paper the smallest scale starts from nothing, a tanh ends each
scale, and one frame is scored at four scales. Here it starts from the last frame, without a tanh:
dark frames else stay black, because the median of their pixels is. The discriminator is that of
MoCoGAN's clips.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from .base import make_map_norm
from .clips import ClipFamily
from .dcgan import dcgan_scales
from .discriminator import Shape

# Widths of the inner maps as multiples of `width`, and kernels, from the smallest scale to the largest.
# Further scales are like the largest.
SCALE_WIDTHS = ((1, 2, 1), (1, 2, 1), (1, 2, 4, 2, 1), (1, 2, 4, 2, 1))
SCALE_KERNELS = ((3, 3, 3, 3), (5, 3, 3, 5), (5, 3, 3, 3, 3, 5), (7, 5, 5, 5, 5, 7))
LAST_STD = 0.001  # of the initial weights of last layers


class LastConvolution(nn.Conv2d):
    """The last layer of a scale, which begins with small weights."""


class FramePredictor(nn.Module):
    """The frame behind a window of frames: [N, C * k, H, W] => [N, C, H, W]."""

    def __init__(self, scales: nn.ModuleList, channels: int):
        super().__init__()
        self.scales, self.channels = scales, channels  # the smallest scale first

    def forward(self, window: Tensor) -> Tensor:
        smallest, *others = self.scales
        halvings = len(others)
        change = smallest(avg_pool2d(window, 1 << halvings))
        for scale in others:
            halvings -= 1
            small = avg_pool2d(window, 1 << halvings)
            enlarged = interpolate(change, scale_factor=2, mode="nearest")
            below = small[:, -self.channels :] + enlarged
            change = enlarged + scale(torch.cat([small, below], 1))
        return window[:, -self.channels :] + change


class RecursivePredictor(nn.Module):
    """The given frames and their continuation: [N, C, k, H, W] => [N, C, T, H, W]."""

    def __init__(self, predictor: nn.Module, frames: int):
        super().__init__()
        self.predictor, self.frames = predictor, frames

    def forward(self, given: Tensor) -> Tensor:
        clip = list(given.unbind(2))
        while len(clip) < self.frames:
            window = torch.cat(clip[-given.shape[2] :], 1)
            clip.append(self.predictor(window))
        return torch.stack(clip, 2)


@dataclass(frozen=True)
class BeyondMSE(ClipFamily):
    """The family's settings. `norm` is that of the discriminator."""

    works_on_slices = True
    conditional: ClassVar[bool] = False

    generator_norm: Literal["none", "batch"] = "none"

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:
        raise NotImplementedError("beyond_mse predicts frames and makes no clips from noise")

    def translation_incompatibility(self, source: Shape, shape: Shape) -> str | None:
        if source[1] < shape[1] and (source[0], *source[2:]) == (shape[0], *shape[2:]):
            return None
        return f"beyond_mse continues clips with further frames, and {source} should become {shape}"

    def build_translator(self, source: Shape, shape: Shape) -> nn.Module:
        channels, given, side, _ = source
        scales = nn.ModuleList()
        for level in range(dcgan_scales(side)[1] + 1):
            below = channels if level else 0  # the prediction of the scale below
            scales.append(self.build_scale(level, channels * given + below, channels))
        return RecursivePredictor(FramePredictor(scales, channels), shape[1])

    def build_scale(self, level: int, fan_in: int, fan_out: int) -> nn.Sequential:
        level = min(level, len(SCALE_WIDTHS) - 1)
        widths = [fan_in, *(self.width * factor for factor in SCALE_WIDTHS[level]), fan_out]
        return nn.Sequential(*self.make_layers(widths, SCALE_KERNELS[level]))

    def make_layers(self, widths: Sequence[int], kernels: Sequence[int]) -> list[nn.Module]:
        """Returns convolutions between widths, with ReLU and norm behind all but the last."""
        layers: list[nn.Module] = []
        for (fan_in, fan_out), kernel in zip(pairwise(widths), kernels, strict=True):
            layers += [nn.Conv2d(fan_in, fan_out, kernel, padding=kernel // 2)]
            layers += [make_map_norm(self.generator_norm, fan_out), nn.ReLU()]
        last = LastConvolution(widths[-2], widths[-1], kernels[-1], padding=kernels[-1] // 2)
        return [*layers[:-3], last]

    def initialize(self, module: nn.Module) -> None:
        """Draws a predictor's weights as He et al. (2015), and small ones in last layers.

        So prediction starts at the last given frame.
        """
        super().initialize(module)
        if isinstance(module, LastConvolution):
            nn.init.normal_(module.weight, 0.0, LAST_STD)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
