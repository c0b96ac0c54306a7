"""Pixel dropout (after Srivastava et al., 2014): zeros at random in discriminator inputs."""

import torch
from torch import Tensor

from ganbench.extend import IMAGES, BuildConfig, Trick, modality_of_shape


class PixelDropout(Trick):
    phase = "augment"  # its position among tricks: it changes single images

    def __init__(self, share: float = 0.1):
        super().__init__()
        if not 0 < share < 1:
            raise ValueError(f"share must lie between 0 and 1, not {share}")
        self.share = share

    def incompatibility(self, config: BuildConfig) -> str | None:
        if all(modality_of_shape(shape) is IMAGES for shape in config.shapes.values()):
            return None
        return "pixel dropout needs images, and the data are points"

    def transform_discriminator_input(self, x: Tensor, role: str) -> Tensor:
        if self.context is None:  # before training: only shapes are computed
            return x
        random = self.context.of(role).random  # the trick's own stream: it changes no other draw
        is_kept = torch.rand(x.shape, generator=random, device=x.device) >= self.share
        return x * is_kept
