"""Networks of GAN-INT-CLS (Reed et al., 2016): DCGAN's, with the code of a sentence.

The generator receives a projection of the code after its latents. The discriminator joins another
projection to its last maps. The published codes are of a text encoder that was trained before; here
each network trains its own. Labels without captions have a learned code each.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from .base import make_map_norm
from .condition_encoder import EncoderKind, encode_condition, make_condition_encoder
from .dcgan import DCGAN
from .discriminator import Discriminator, Head, Shape
from .joint_head import JointHead


class CodedGenerator(nn.Module):
    """A generator of latents and the code of a label, one after the other."""

    def __init__(self, encoder: nn.Module, inner: nn.Module):
        super().__init__()
        self.encoder, self.inner = encoder, inner

    def encode_label(self, label: Tensor) -> Tensor:
        return encode_condition(self.encoder, label)

    def forward(self, latents: Tensor, label: Tensor) -> Tensor:  # [N, latent], [N] => [N, ...]
        return self.inner(torch.cat([latents, self.encode_label(label)], 1))


@dataclass(frozen=True)
class Reed(DCGAN):
    """DCGAN's settings, with `code` numbers of each condition and the kind of its `encoder`."""

    works_on_slices = True
    encodes_labels: ClassVar[bool] = True

    code: int = 128
    encoder: EncoderKind = "gru"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.code < 1:
            raise ValueError(f"code must be at least 1, not {self.code}")

    def build_generator(self, latent: int, shape: Shape) -> nn.Module:
        if not self.classes:
            return super().build_generator(latent, shape)
        inner = replace(self, classes=0).build_generator(latent + self.code, shape)
        return CodedGenerator(self.build_encoder(), inner)

    def build_encoder(self) -> nn.Module:
        """Builds the encoder and its projection, as each network has them."""
        read = make_condition_encoder(self.encoder, self.classes, self.captions, self.code)
        return nn.Sequential(read, nn.Linear(self.code, self.code), nn.LeakyReLU(0.2))

    def build_discriminator(self, shape: Shape) -> Discriminator:
        plain = super().build_discriminator(shape)
        plain.head = self.build_head_of_maps(plain) if self.classes else plain.head
        return plain

    def build_head_of_maps(self, plain: Discriminator) -> Head:
        channels = plain.shape[0]
        mix = nn.Sequential(
            nn.Conv2d(channels + self.code, channels, 1, bias=False),
            make_map_norm(self.norm, channels),
            nn.LeakyReLU(0.2),
        )
        return JointHead(self.build_encoder(), self.code, plain.shape, mix, channels)
