"""Conditioning of generators on labels: one-hot inputs, or scales and shifts of norms."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from .base import Network
from .condition_encoder import encode_condition
from .discriminator import Shape


class OneHotConditioned(nn.Module):
    """A generator with one-hot labels after its latents (Mirza and Osindero, 2014)."""

    def __init__(self, inner: nn.Module, classes: int):
        super().__init__()
        self.inner, self.classes = inner, classes

    def encode_label(self, labels: Tensor) -> Tensor:
        """Returns one-hot codes of labels [N]; codes [N, classes] are returned as they are."""
        return encode_condition(self.make_one_hot, labels)

    def make_one_hot(self, labels: Tensor) -> Tensor:
        return (labels[:, None] == torch.arange(self.classes, device=labels.device)).float()

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:  # [N, latent], [N] => [N, ...]
        return self.inner(self.with_labels(latents, labels))

    def with_labels(self, latents: Tensor, labels: Tensor) -> Tensor:
        return torch.cat([latents, self.encode_label(labels).to(latents.dtype)], 1)


def build_one_hot_generator(
    network: Network, latent: int, shape: Shape, kind: type[OneHotConditioned] = OneHotConditioned
) -> OneHotConditioned:
    """Builds a family's generator of latents and one-hot labels, from its unconditional one."""
    inner = replace(network, classes=0).build_generator(latent + network.classes, shape)
    return kind(inner, network.classes)


class ClassEmbedding(nn.Embedding):
    """A vector for each class, initially zero: [N] => [N, width]."""

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)


class ConditionalBatchNorm(nn.Module):
    """Conditional batch norm (Dumoulin et al., 2017; de Vries et al., 2017).

    `scale` and `shift` map a condition to [N, channels]. Normalized maps are multiplied by 1 +
    scale.
    """

    def __init__(self, channels: int, scale: nn.Module, shift: nn.Module):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale, self.shift = scale, shift

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:  # [N, C, H, W] => [N, C, H, W]
        scale, shift = (made(condition)[:, :, None, None] for made in (self.scale, self.shift))
        return self.norm(x) * (1 + scale) + shift


class UnconditionalBatchNorm(nn.BatchNorm2d):
    """Batch norm that ignores its condition."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return super().forward(x)
