"""Minibatch discrimination (Salimans et al., 2016): similarities in a batch as features.

For example `i` and each of the `kernels` `k`, the head receives `Σⱼ exp(−‖Mᵢₖ − Mⱼₖ‖₁)` over the
other examples `j`. `Mᵢₖ` are `depth` learned projections of the features.
"""

from functools import reduce

import torch
from torch import Tensor, nn

from ganbench.gan.batch_slices import gather_rows, slice_rows
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.networks.discriminator import AuxiliaryFeaturesHead, Discriminator

from .base import Trick
from .compatibility import refuse_energy, refuse_single_images

MAX_PROJECTIONS = 100_000  # of each image: all pairs of a batch are compared in each


class KernelCloseness(nn.Module):
    """The sum of exp(-L1) to the other examples, per kernel: [N, width] => [N, kernels]."""

    def __init__(self, width: int, kernels: int, depth: int):
        super().__init__()
        project = torch.empty(width, kernels, depth)
        if not project.is_meta:  # on meta, PyTorch would import modules for a second
            project.normal_().div_(width**0.5)
        self.project = nn.Parameter(project)

    def forward(self, features: Tensor) -> Tensor:
        return slice_rows(self.compare(gather_rows(features)))

    def compare(self, features: Tensor) -> Tensor:
        depths = torch.einsum("nw,wkd->dnk", features, self.project)
        # Summed depth by depth: [N, N, kernels, depth] at once takes twice the time.
        distance = reduce(torch.add, ((m[:, None] - m[None]).abs() for m in depths))
        return distance.neg().exp().sum(1) - 1  # without the distance to itself


class MinibatchDiscrimination(Trick):
    works_on_slices = True
    phase = "structure"

    def __init__(self, kernels: int = 100, depth: int = 5):
        super().__init__()
        if kernels < 1 or depth < 1:
            raise ValueError("kernels and depth must be at least 1")
        if kernels * depth > MAX_PROJECTIONS:
            raise ValueError(
                f"kernels times depth must be at most {MAX_PROJECTIONS:,}, not {kernels * depth:,}"
            )
        self.kernels, self.depth = kernels, depth

    def incompatibility(self, config: BuildConfig) -> str | None:
        return refuse_energy("minibatch discrimination", config) or refuse_single_images(
            "minibatch discrimination", config
        )

    def transform_discriminator(self, discriminator: Discriminator) -> Discriminator:
        width, head = discriminator.width, discriminator.head.widen(self.kernels)
        discriminator.head = AuxiliaryFeaturesHead(
            KernelCloseness(width, self.kernels, self.depth), width, head
        )
        return discriminator
