"""MoCoGAN (Tulyakov et al., 2018): one content per clip, and motion in every frame.

A recurrent cell turns noise into latents of motion. DCGAN's generator makes each frame from
the content and the motion of the frame. The clip discriminator has 3-D convolutions without
padding in time, and the frame discriminator is DCGAN's.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .clips import ClipFamily, join_frames
from .conditioning import build_one_hot_generator
from .discriminator import Shape
from .recurrent import run_recurrent


class MotionGenerator(nn.Module):
    """Frames of one content: [N, (T + 1) * motion + content] => [N, C, T, H, W].

    The latents are the cell's first state, the noise of each frame, and the content.
    """

    def __init__(self, frames: int, motion: int, image: nn.Module):
        super().__init__()
        self.frames, self.motion = frames, motion
        self.recurrent = nn.GRUCell(motion, motion)
        self.image = image

    @property
    def motion_latents(self) -> int:
        """The number of latents of motion, which come before those of content."""
        return (self.frames + 1) * self.motion

    def forward(self, latents: Tensor) -> Tensor:
        noise = latents[:, : self.motion_latents]
        content = latents[:, None, noise.shape[1] :].expand(-1, self.frames, -1)
        codes = torch.cat([self.motions(noise), content], 2)  # [N, T, motion + content]
        return join_frames(self.image(codes.flatten(0, 1)), len(latents))

    def motions(self, noise: Tensor) -> Tensor:
        """Returns the latents of motion: [N, (T + 1) * motion] => [N, T, motion]."""
        steps = noise.unflatten(1, (self.frames + 1, self.motion))
        return run_recurrent(self.recurrent, steps[:, 1:], steps[:, 0])


@dataclass(frozen=True)
class MoCoGAN(ClipFamily):
    """The family's settings. `motion` is the size of a frame's latent of motion.

    The hyperparameter `latent` is the size of the content's latent.
    """

    works_on_slices = True

    motion: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.motion < 1:
            raise ValueError(f"motion must be at least 1, not {self.motion}")

    def count_latents(self, latent: int, shape: Shape) -> int:
        return (shape[1] + 1) * self.motion + latent

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:
        if self.classes:
            return build_one_hot_generator(self, latent, shape)
        channels, frames, *sides = shape
        image = self.frame_family().build_generator(self.motion + latent, (channels, *sides))
        return MotionGenerator(frames, self.motion, image)
