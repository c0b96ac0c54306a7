"""TGAN (Saito et al., 2017): a temporal generator makes one latent per frame.

1-D transposed convolutions make a fast latent for each frame from one slow latent. An image
generator makes each frame from both: each has half of the smallest maps.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from .base import make_map_norm, make_vector_norm
from .clips import ClipFamily, build_clip_discriminator, join_frames
from .conditioning import build_one_hot_generator
from .dcgan import dcgan_scales
from .discriminator import Discriminator, Shape


class TemporalGenerator(nn.Module):
    """Frames from a slow latent and a fast latent per frame: [N, L] => [N, C, T, H, W]."""

    def __init__(self, temporal: nn.Module, slow: nn.Module, fast: nn.Module, image: nn.Module):
        super().__init__()
        self.temporal, self.slow, self.fast, self.image = temporal, slow, fast, image

    def forward(self, latents: Tensor) -> Tensor:
        fast = self.temporal(latents).transpose(1, 2)  # [N, T, fast]
        # Each clip's slow maps are computed per frame, as in the authors' code: the batch norm's
        # statistics are the same.
        maps = [
            self.slow(latents).repeat_interleave(fast.shape[1], 0),
            self.fast(fast.flatten(0, 1)),
        ]
        return join_frames(self.image(torch.cat(maps, 1)), len(latents))


@dataclass(frozen=True)
class TGAN(ClipFamily):
    """The family's settings. `width` is that of the discriminator's first layer.

    `fast` is the size of a frame's latent. The generator has 8 `width` channels at the smallest
    maps of images of side 64.
    """

    works_on_slices = True
    halves_time: ClassVar[bool] = True

    fast: int = 100

    def incompatibility(self, shape: Shape) -> str | None:
        if refusal := super().incompatibility(shape):
            return refusal
        if shape[1] & (shape[1] - 1):
            return f"tgan doubles one frame up to a power of two, not to {shape[1]}"
        return None

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:
        if self.classes:
            return build_one_hot_generator(self, latent, shape)
        channels, frames, side, _ = shape
        base, doublings = dcgan_scales(side)
        wide = self.width << (doublings - 1)
        return TemporalGenerator(
            self.build_temporal(latent, frames),
            self.build_smallest(latent, wide // 2, base),
            self.build_smallest(self.fast, wide - wide // 2, base),
            self.build_image(wide, doublings, channels),
        )

    def build_temporal(self, latent: int, frames: int) -> nn.Sequential:
        """Builds 1-D transposed convolutions: [N, latent] => [N, fast, T] in [-1, 1]."""
        doublings = frames.bit_length() - 1
        widths = [max(8 * self.width >> i, 2 * self.width) for i in range(doublings)]
        layers = [nn.Unflatten(1, (latent, 1)), nn.ConvTranspose1d(latent, widths[0], 1)]
        for fan_in, fan_out in zip(widths, [*widths[1:], self.fast], strict=True):
            layers += [make_vector_norm(self.generator_norm, fan_in), nn.ReLU()]
            layers += [nn.ConvTranspose1d(fan_in, fan_out, 4, 2, 1)]
        return nn.Sequential(*layers, nn.Tanh())

    def build_smallest(self, latent: int, channels: int, base: int) -> nn.Sequential:
        """Builds the smallest maps from latents: [N, latent] => [N, channels, base, base]."""
        size = channels * base**2
        norm = make_vector_norm(self.generator_norm, size)
        maps = nn.Unflatten(1, (channels, base, base))
        return nn.Sequential(nn.Linear(latent, size, bias=False), norm, nn.ReLU(), maps)

    def build_image(self, wide: int, doublings: int, channels: int) -> nn.Sequential:
        """Builds the image generator behind the smallest maps."""
        layers: list[nn.Module] = []
        for i in range(doublings):
            fan_out = max(1, wide >> (i + 1))
            layers += [nn.ConvTranspose2d(max(1, wide >> i), fan_out, 4, 2, 1, bias=False)]
            layers += [make_map_norm(self.generator_norm, fan_out), nn.ReLU()]
        return nn.Sequential(*layers, nn.Conv2d(fan_out, channels, 3, padding=1), nn.Tanh())

    def build_discriminator(self, shape: Shape) -> Discriminator:
        return build_clip_discriminator(self, shape, self.width, self.make_convolution, bias=True)

    def make_convolution(self, fan_in: int, fan_out: int, frames: int) -> nn.Conv3d:
        return nn.Conv3d(fan_in, fan_out, 4, 2, 1)

    def initialize(self, module: nn.Module) -> None:
        """Draws a clip discriminator's weights as He et al. (2015), and others uniformly.

        The published generator's weights are uniform in [-0.01, 0.01].
        """
        super().initialize(module)
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d):
            nn.init.uniform_(module.weight, -0.01, 0.01)
