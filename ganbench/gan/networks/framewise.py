"""Framewise: a baseline whose frames have independent latents.

DCGAN's generator makes each frame from a latent of its own. The discriminators are MoCoGAN's, so a
comparison with it shows the worth of a shared content.

Independent frames fit together only if they are all alike, so the discriminator of clips drives
this generator into a collapse. With `sees_motion=False` it scores each frame alone.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from ganbench.data.modality import frames_of

from .clips import ClipFamily, join_frames
from .discriminator import Discriminator, Shape


class IndependentFrames(nn.Module):
    """Frames of independent latents: [N, T * latent] => [N, C, T, H, W]."""

    def __init__(self, frames: int, image: nn.Module):
        super().__init__()
        self.frames, self.image = frames, image

    def forward(self, latents: Tensor) -> Tensor:
        each = latents.unflatten(1, (self.frames, -1)).flatten(0, 1)
        return join_frames(self.image(each), len(latents))


class MeanOfFrames(nn.Module):
    """Mean maps of a body that sees single frames: [N, C, T, H, W] => [N, ...]."""

    def __init__(self, body: nn.Module):
        super().__init__()
        self.body = body

    def forward(self, clips: Tensor) -> Tensor:
        maps: Tensor = self.body(frames_of(clips))
        return maps.unflatten(0, (len(clips), -1)).mean(1)


@dataclass(frozen=True)
class Framewise(ClipFamily):
    """The family's settings.

    `sees_motion` is whether the discriminator of clips sees its frames together.
    """

    works_on_slices = True
    conditional: ClassVar[bool] = False
    neutral: ClassVar[dict[str, Any]] = {"sees_motion": True}

    sees_motion: bool = True

    def count_latents(self, latent: int, shape: Shape) -> int:
        return shape[1] * latent

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:
        channels, frames, *sides = shape
        image = self.frame_family().build_generator(latent, (channels, *sides))
        return IndependentFrames(frames, image)

    def build_discriminator(self, shape: Shape) -> Discriminator:
        if self.sees_motion:
            return super().build_discriminator(shape)
        channels, _, *sides = shape
        image = self.frame_family().build_discriminator((channels, *sides))
        # The head is linear, so the score of a clip is the mean of the scores of its frames.
        return Discriminator(MeanOfFrames(image.body), image.shape, image.head)
