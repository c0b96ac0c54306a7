"""BigGAN's networks (Brock et al., 2019): classes and slices of the latents are told to every block.

The latents are split: the first slice makes the smallest maps, and each further one goes to a block, there
beside an embedding of the class that all blocks share; linear layers make scales and shifts of both.
Maps of 64x64 attend to themselves, or those of half the side of a smaller image; weights begin orthogonal.
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
    """The first slice of the latents, and for each block its own beside what all share of the label."""

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
    """`width` is the number of channels at the largest maps, which doubles with every halving; the embedding
    has `embedding` numbers.
    """

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
        """Orthogonal (Saxe et al., 2014); biases are zero."""
        super().initialize(module)
        if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding):
            nn.init.orthogonal_(module.weight)


def make_conditional_norm_builder(condition: int) -> MakeNorm:
    """Norms that a condition of so many numbers scales and shifts."""

    def make(channels: int) -> nn.Module:
        if not condition:
            return UnconditionalBatchNorm(channels)
        made = (nn.Linear(condition, channels, bias=False) for _ in range(2))
        return ConditionalBatchNorm(channels, *made)

    return make
