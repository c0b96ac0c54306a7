"""Monkey-Net (Siarohin et al., 2019), small: key points carry motion between clips.

A detector finds `points` key points in each frame of the clip that gives the motion. An encoder turns
the clip that gives the content into a code for each key point. A decoder draws each frame from the
codes, placed at the key points of the frame. Nothing but places of key points passes from the first
clip, so the content must come from the second.

The authors deform an image of the content by a dense flow. This form has no flow: codes are placed
under Gaussians, as in Jakab et al. (2018).
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ganbench.data.modality import frames_of

from .autoencoder import autoencoder_scales
from .base import make_map_norm
from .clips import ClipFamily, join_frames
from .dcgan import dcgan_scales
from .discriminator import Shape

TEMPERATURE = 0.1  # of the softmax over places, as published
KEY_POINT_STD = 0.2  # of the Gaussians; half a side is 1


class KeyPointDetector(nn.Module):
    """Rows and columns of key points in [-1, 1]: [N, C, H, W] => [N, K, 2]."""

    def __init__(self, maps: nn.Module):
        super().__init__()
        self.maps = maps

    def forward(self, frames: Tensor) -> Tensor:
        heat = self.maps(frames) / TEMPERATURE
        return expected_places(heat.flatten(2).softmax(2).unflatten(2, heat.shape[2:]))


def expected_places(heat: Tensor) -> Tensor:
    """Returns the mean place of each distribution: [N, K, H, W] => [N, K, 2], in [-1, 1]."""
    rows, columns = (make_line(heat, size) for size in heat.shape[2:])
    return torch.stack([(heat.sum(3) * rows).sum(2), (heat.sum(2) * columns).sum(2)], 2)


def draw_gaussians(places: Tensor, side: int) -> Tensor:
    """Returns a Gaussian of height 1 at each place: [N, K, 2] => [N, K, side, side]."""
    offsets = (make_line(places, side) - places[..., None]) / KEY_POINT_STD  # [N, K, 2, side]
    rows, columns = offsets.square().mul(-0.5).exp().unbind(2)
    return rows[..., :, None] * columns[..., None, :]


def make_line(like: Tensor, size: int) -> Tensor:
    """Returns the centres of pixels along an axis, from -1 to 1."""
    return torch.linspace(-1, 1, size, dtype=like.dtype, device=like.device)


class KeyPointTransfer(nn.Module):
    """The second clip's content at the first's key points: [N, C, 2T, H, W] => clips."""

    def __init__(self, detector: nn.Module, content: nn.Module, decoder: nn.Module, base: int):
        super().__init__()
        self.detector, self.content, self.decoder = detector, content, decoder
        self.base = base  # the side of the decoder's first maps

    def forward(self, sources: Tensor) -> Tensor:
        motion, content = sources.chunk(2, 2)
        count, frames = len(sources), motion.shape[2]
        places = self.detector(frames_of(motion))
        codes = self.content(frames_of(content)).unflatten(0, (count, frames)).mean(1)
        placed = draw_gaussians(places, self.base)[:, :, None] * codes.repeat_interleave(
            frames, 0
        ).unflatten(1, (places.shape[1], -1, 1, 1))
        return join_frames(self.decoder(placed.sum(1)), count)


@dataclass(frozen=True)
class MonkeyNet(ClipFamily):
    """The family's settings. `points` is the number of key points."""

    works_on_slices = True
    conditional: ClassVar[bool] = False

    points: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.points < 1:
            raise ValueError(f"points must be at least 1, not {self.points}")

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:
        raise NotImplementedError("monkeynet transfers motion and makes no clips from noise")

    def translation_incompatibility(self, source: Shape, shape: Shape) -> str | None:
        channels, frames, *sides = shape
        if source == (channels, 2 * frames, *sides):
            return None
        return f"monkeynet makes one clip of two, and {source} should become {shape}"

    def build_translator(self, source: Shape, shape: Shape) -> nn.Module:
        channels, _, side, _ = shape
        base, doublings = autoencoder_scales(side)
        wide = self.width << doublings
        return KeyPointTransfer(
            KeyPointDetector(self.build_detector(channels)),
            self.build_content_encoder(channels, side, wide),
            self.build_decoder(channels, wide, doublings),
            base,
        )

    def build_detector(self, channels: int) -> nn.Sequential:
        """Builds convolutions at the full side: [N, C, H, W] => [N, points, H, W]."""
        layers = [
            *self.make_layer(channels, self.width, 5),
            *self.make_layer(self.width, self.width, 5),
        ]
        return nn.Sequential(*layers, nn.Conv2d(self.width, self.points, 5, padding=2))

    def build_content_encoder(self, channels: int, side: int, code: int) -> nn.Sequential:
        """Builds a code for each key point, without places: [N, C, H, W] => [N, points * code]."""
        layers: list[nn.Module] = []
        fan_in = channels
        for halving in range(dcgan_scales(side)[1]):
            fan_out = self.width << (halving + 1)
            layers += [nn.Conv2d(fan_in, fan_out, 4, 2, 1, bias=False), *self.make_norm(fan_out)]
            fan_in = fan_out
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        return nn.Sequential(*layers, nn.Linear(fan_in, self.points * code))

    def build_decoder(self, channels: int, wide: int, doublings: int) -> nn.Sequential:
        layers = [*self.make_layer(wide, wide, 3), *self.make_layer(wide, wide, 3)]
        for doubling in range(doublings):
            fan_out = wide >> (doubling + 1)
            layers += [nn.ConvTranspose2d(wide >> doubling, fan_out, 4, 2, 1, bias=False)]
            layers += self.make_norm(fan_out)
        return nn.Sequential(*layers, nn.Conv2d(self.width, channels, 3, padding=1), nn.Tanh())

    def make_layer(self, fan_in: int, fan_out: int, kernel: int) -> list[nn.Module]:
        convolution = nn.Conv2d(fan_in, fan_out, kernel, padding=kernel // 2, bias=False)
        return [convolution, *self.make_norm(fan_out)]

    def make_norm(self, channels: int) -> list[nn.Module]:
        return [make_map_norm(self.generator_norm, channels), nn.ReLU()]
