"""BigGAN's networks (Brock et al., 2019): every block receives the class and latents.

The latents are split into slices. The first slice makes the smallest maps. Each block receives one
further slice and a class embedding that all blocks share; linear layers turn both into scales and
shifts. Self-attention acts on maps of 64x64, or on maps of half the image's side if that is
smaller. Initial weights are orthogonal. For images of 32x32 the authors' code has the same width in all
blocks; here it halves with each enlargement.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from .attention import SelfAttention
from .conditioning import ConditionalBatchNorm, UnconditionalBatchNorm
from .dcgan import dcgan_scales
from .discriminator import Shape
from .residual import MakeNorm, ResNetFamily, ResNetGenerator


class LatentSlices(nn.Module):
    """The first slice of the latents, and a condition per block.

    A condition is a further slice of the latents, with the shared embedding of the label in front
    of it.
    """

    def __init__(self, slices: list[int], shared: nn.Module | None):
        super().__init__()
        self.slices, self.shared = slices, shared

    def forward(self, latents: Tensor, labels: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        seed, *slices = latents.split(self.slices, 1)
        if self.shared is None:
            return seed, slices
        embedded = self.shared(labels)
        return seed, [torch.cat([embedded, one], 1) for one in slices]


@dataclass(frozen=True)
class BigGAN(ResNetFamily):
    """The family's settings, `width` and `embedding`.

    `width` is the number of channels at the largest maps; it doubles with every halving.
    `embedding` is the size of the class embedding.
    """

    works_on_slices = True
    attends_at: ClassVar[int] = 64
    wide: ClassVar[bool] = True

    width: int = 96
    embedding: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.embedding < 1:
            raise ValueError(f"embedding must be at least 1, not {self.embedding}")

    def make_attention(self, channels: int) -> nn.Module:
        return SelfAttention(channels, channels // 2, pooled=True)

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:
        channels, resolution, _ = shape
        base, doublings = dcgan_scales(resolution)
        slices = [len(part) for part in torch.arange(latent).tensor_split(doublings + 1)]
        embedding = self.embedding if self.classes else 0
        shared = nn.Embedding(self.classes, self.embedding) if self.classes else None
        norms = [make_conditional_norm_builder(embedding + width) for width in slices[1:]]
        latent_input, behind = (
            LatentSlices(slices, shared),
            self.attention_after_block(resolution, base),
        )
        return ResNetGenerator(
            latent_input, slices[0], base, self.generator_widths(doublings), channels, norms, behind
        )

    def initialize(self, module: nn.Module) -> None:
        """Draws orthogonal weights (Saxe et al., 2014); biases are zero."""
        super().initialize(module)
        if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding):
            nn.init.orthogonal_(module.weight)


def make_conditional_norm_builder(condition: int) -> MakeNorm:
    """Returns a builder of batch norms with scales and shifts from `condition` numbers."""

    def make(channels: int) -> nn.Module:
        if not condition:
            return UnconditionalBatchNorm(channels)
        made = (nn.Linear(condition, channels, bias=False) for _ in range(2))
        return ConditionalBatchNorm(channels, *made)

    return make
