"""SAGAN's networks (Zhang et al., 2019): residual networks with self-attention at 32x32.

Small images have attention at half their side. Spectral norm, in both networks, is a separate
trick.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from .attention import SelfAttention
from .residual import ResNetFamily


@dataclass(frozen=True)
class SAGAN(ResNetFamily):
    """The family's settings.

    `width` is the number of channels at the largest maps; it doubles with every halving.
    """

    works_on_slices = True
    attends_at: ClassVar[int] = 32

    def make_attention(self, channels: int) -> nn.Module:
        return SelfAttention(channels, channels // 8)
