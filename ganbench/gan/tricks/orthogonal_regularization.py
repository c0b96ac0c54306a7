"""Orthogonal regularization (Brock et al., 2017; 2019): filters of a layer should not resemble each other.

BigGAN's form: the squared products of each two different filters, not of one with itself, are summed over
the layers, so that filters keep their lengths. A filter is all that makes one output: kernels are matrices
of output channels by all else. What is regularized are the weights that are learned, ahead of any norm.
"""

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.tasks.base import Terms

from .base import Trick


class OrthogonalRegularization(Trick):
    def __init__(
        self,
        weight: float = 1e-4,
        of: Literal["generator", "discriminator", "both"] = "generator",
    ):
        super().__init__()
        if weight <= 0:
            raise ValueError(f"weight must be above 0, not {weight}")
        self.weight, self.of = weight, of

    def discriminator_terms(self, pair: AdversarialBatch) -> Terms:
        if self.of != "generator":
            yield "discriminator_resemblance", self.weight * filter_similarity(pair.discriminator)

    def generator_terms(self, pair: AdversarialBatch) -> Terms:
        if self.of != "discriminator":
            yield "generator_resemblance", self.weight * filter_similarity(pair.generator)


def filter_similarity(network: nn.Module) -> Tensor:
    return torch.stack(
        [off_diagonal_similarity(matrix) for matrix in weight_matrices(network)]
    ).sum()


def off_diagonal_similarity(matrix: Tensor) -> Tensor:
    """|W W^T * (1 - I)|^2 of a matrix [filters, fan_in], by the smaller of its two Gram matrices.

    |W W^T| = |W^T W|, and of a first layer W W^T can be thousands squared.
    """
    wide = matrix if len(matrix) <= matrix.shape[1] else matrix.T
    lengths = matrix.square().sum(1)  # the diagonal of W W^T
    return (wide @ wide.T).square().sum() - lengths.square().sum()


def weight_matrices(network: nn.Module) -> Iterator[Tensor]:  # each [filters, fan_in]
    for layer in network.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            yield (
                unnormalized_weight(layer).transpose(0, 1).flatten(1)
            )  # its kernels are [in, out, ...]
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            yield unnormalized_weight(layer).flatten(1)


def unnormalized_weight(layer: Any) -> Tensor:
    """A layer's own weight: to ask a spectral norm for its quotient would move its power iteration."""
    normed = is_parametrized(layer, "weight")
    return layer.parametrizations.weight.original if normed else layer.weight
