"""Pixel dropout (after Srivastava et al., 2014): the discriminator sees holes."""

import torch
from torch import Tensor

from ganbench.blueprint import Blueprint
from ganbench.tricks.base import Trick


class PixelDropout(Trick):
    phase = "augment"  # its place in a chain: it changes single images

    def __init__(self, share: float = 0.1):
        super().__init__()
        if not 0 < share < 1:
            raise ValueError(f"share must lie between 0 and 1, not {share}")
        self.share = share

    def objection(self, blueprint: Blueprint) -> str | None:
        if all(len(shape) == 3 for shape in blueprint.shapes.values()):
            return None
        return "pixel dropout needs images, and the data are points"

    def view(self, x: Tensor, role: str) -> Tensor:
        if self.moment is None:  # nothing runs yet, shapes are being asked for
            return x
        random = self.moment.of(role).random  # the trick's own stream: it moves no other draw
        kept = torch.rand(x.shape, generator=random, device=x.device) >= self.share
        return x * kept
