"""Orthogonal regularization (Brock et al., 2017; 2019): keeps a layer's filters apart.

This is BigGAN's form: the squared products of different filters, summed over the layers. The
product of a filter with itself is left out, so filters keep their lengths. A filter is all weights
of one output; a convolution counts as a matrix of output channels by all else. The term acts on the
learned weights, before any normalization. The authors' code adds half the gradient of this term, so a strength
there is half as large here.
"""

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.tasks.base import Terms

from .base import Trick

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class OrthogonalRegularization(Trick):
    works_on_slices = True

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
        if self.of != "discriminator" and not pair.shares_generator:
            yield "generator_resemblance", self.weight * filter_similarity(pair.generator)


def filter_similarity(network: nn.Module) -> Tensor:
    return torch.stack(
        [off_diagonal_similarity(matrix) for matrix in weight_matrices(network)]
    ).sum()


def off_diagonal_similarity(matrix: Tensor) -> Tensor:
    """Computes |W W^T * (1 - I)|^2 of a matrix [filters, fan_in] with its smaller Gram matrix.

    |W W^T| = |W^T W|, and W W^T of a first layer can have thousands of rows.
    """
    wide = matrix if len(matrix) <= matrix.shape[1] else matrix.T
    lengths = matrix.square().sum(1)  # the diagonal of W W^T
    return (wide @ wide.T).square().sum() - lengths.square().sum()


def weight_matrices(network: nn.Module) -> Iterator[Tensor]:  # each [filters, fan_in]
    for layer in network.modules():
        if isinstance(layer, TRANSPOSED):
            # kernels of transposed convolutions are [in, out, ...]
            yield unnormalized_weight(layer).transpose(0, 1).flatten(1)
        elif isinstance(layer, nn.Conv2d | nn.Conv3d | nn.Linear):
            yield unnormalized_weight(layer).flatten(1)


def unnormalized_weight(layer: Any) -> Tensor:
    """Returns a layer's learned weight.

    To read the normalized weight would advance the power iteration of spectral norm.
    """
    normed = is_parametrized(layer, "weight")
    return layer.parametrizations.weight.original if normed else layer.weight
