"""Framewise: a baseline whose frames have independent latents.

DCGAN's generator makes each frame from a latent of its own. The discriminators are MoCoGAN's, so a
comparison with it shows the worth of a shared content.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from .clips import ClipFamily, join_frames
from .discriminator import Shape


class IndependentFrames(nn.Module):
    """Frames of independent latents: [N, T * latent] => [N, C, T, H, W]."""

    def __init__(self, frames: int, image: nn.Module):
        super().__init__()
        self.frames, self.image = frames, image

    def forward(self, latents: Tensor) -> Tensor:
        each = latents.unflatten(1, (self.frames, -1)).flatten(0, 1)
        return join_frames(self.image(each), len(latents))


@dataclass(frozen=True)
class Framewise(ClipFamily):
    works_on_slices = True
    conditional: ClassVar[bool] = False

    def count_latents(self, latent: int, shape: Shape) -> int:
        return shape[1] * latent

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:
        channels, frames, *sides = shape
        image = self.frame_family().build_generator(latent, (channels, *sides))
        return IndependentFrames(frames, image)
