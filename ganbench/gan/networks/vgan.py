"""VGAN (Vondrick et al., 2016): a moving foreground over a still background.

`m f + (1 − m) b`: 3-D transposed convolutions make the foreground `f` and its mask `m`; the
background `b` is a DCGAN's image. Layers before a batch norm have no biases, unlike the authors'.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .clips import ClipFamily
from .conditioning import OneHotConditioned, build_one_hot_generator
from .dcgan import dcgan_scales
from .discriminator import Shape


class LayeredGenerator(nn.Module):
    """Foreground, mask and background from the same latents: [N, L] => [N, C, T, H, W]."""

    def __init__(self, trunk: nn.Module, foreground: nn.Module, mask: nn.Module, still: nn.Module):
        super().__init__()
        self.trunk, self.foreground, self.mask, self.still = trunk, foreground, mask, still

    def forward(self, latents: Tensor) -> Tensor:
        inner = self.trunk(latents)
        mask = self.mask(inner)
        return torch.lerp(self.still(latents)[:, :, None], self.foreground(inner), mask)

    def masks(self, latents: Tensor) -> Tensor:
        """Returns the masks in [0, 1]: [N, 1, T, H, W]."""
        masks: Tensor = self.mask(self.trunk(latents))
        return masks


class LabelledLayers(OneHotConditioned):
    """A layered generator with one-hot labels after its latents."""

    def masks(self, latents: Tensor, labels: Tensor) -> Tensor:
        generator: Any = self.inner
        masks: Tensor = generator.masks(self.with_labels(latents, labels))
        return masks


@dataclass(frozen=True)
class VGAN(ClipFamily):
    """The family's settings; weights are from N(0, 0.01), as published."""

    works_on_slices = True
    masks: ClassVar[bool] = True
    halves_time: ClassVar[bool] = True
    weight_std: ClassVar[float] = 0.01

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:
        if self.classes:
            return build_one_hot_generator(self, latent, shape, LabelledLayers)
        channels, frames, side, _ = shape
        base, doublings = dcgan_scales(side)
        wide = self.width << (doublings - 1)
        first = (frames >> doublings, base, base)
        layers: list[nn.Module] = [nn.Unflatten(1, (latent, 1, 1, 1))]
        layers += [nn.ConvTranspose3d(latent, wide, first, bias=False), *self.make_norm(wide)]
        for i in range(doublings - 1):
            fan_out = wide >> (i + 1)
            layers += [nn.ConvTranspose3d(wide >> i, fan_out, 4, 2, 1, bias=False)]
            layers += self.make_norm(fan_out)
        foreground = nn.Sequential(nn.ConvTranspose3d(self.width, channels, 4, 2, 1), nn.Tanh())
        mask = nn.Sequential(nn.ConvTranspose3d(self.width, 1, 4, 2, 1), nn.Sigmoid())
        still = self.frame_family().build_generator(latent, (channels, side, side))
        return LayeredGenerator(nn.Sequential(*layers), foreground, mask, still)

    def make_norm(self, channels: int) -> list[nn.Module]:
        norm = nn.BatchNorm3d(channels) if self.generator_norm == "batch" else nn.Identity()
        return [norm, nn.ReLU()]
