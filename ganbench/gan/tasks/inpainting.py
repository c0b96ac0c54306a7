"""Inpainting (context encoders, Pathak et al., 2016): fills a missing square.

The square is in the middle of the image. The generator receives a mask of the missing pixels as an
additional channel. Known pixels are copied to its output. The content term is the mean over the
missing pixels, and its weight the paper's ratio of 0.999 to 0.001.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from ganbench.gan.networks.discriminator import Shape

from .restoration import Restoration


class HoleFiller(nn.Module):
    """A translator for the hole that keeps known pixels: [N, C + 1, H, W] => [N, C, H, W]."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        context, hole = x[:, :-1], x[:, -1:] > 0
        return torch.where(hole, self.inner(x), context)


class Inpainting(Restoration):
    """`hole` is the side of the missing square, as a share of the image's side."""

    works_on_slices = True

    def __init__(self, hole: float = 0.5, content: float = 999.0):
        super().__init__(content)
        if not 0 < hole < 1:
            raise ValueError(f"the hole must lie between 0 and 1, not {hole}")
        self.hole = hole

    def shape_incompatibility(self, shape: Shape) -> str | None:
        if all(round(self.hole * side) for side in shape[1:]):
            return None
        return f"a hole of {self.hole} of the side is less than a pixel in {shape[1]}x{shape[2]}"

    def damaged_shape(self, shape: Shape) -> Shape:
        return (shape[0] + 1, *shape[1:])

    def damage(self, images: Tensor) -> Tensor:
        hole = torch.zeros_like(images[:, :1])
        hole[:, :, *map(self.hole_slice, images.shape[2:])] = 1
        return torch.cat([images * (1 - hole), hole], 1)

    def content_error(self, fake: Tensor, real: Tensor) -> Tensor:
        rows, columns = map(self.hole_slice, real.shape[2:])
        return mse_loss(fake[..., rows, columns], real[..., rows, columns])

    def hole_slice(self, side: int) -> slice:
        missing = round(self.hole * side)
        return slice((side - missing) // 2, (side - missing) // 2 + missing)

    def make_restorer(self, translator: nn.Module) -> nn.Module:
        return HoleFiller(translator)

    def displayable_source(self, damaged: Tensor) -> Tensor:
        return damaged[:, :-1]
