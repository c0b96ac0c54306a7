"""Vendi score (Friedman and Dieng, 2023): the effective number of unlike fakes over reals.

The score is the exponential of the Rényi entropy of the eigenvalues of K / n, where K are the
cosines of n examples' features. `order` 1 is Shannon's entropy. The score grows with n, so n is the
same on both sides: all fakes, or as many random ones as there are reals.

With few examples, the eigenvalues are those of K / n itself. Otherwise they are those of the
features' second moments, which are equal. Features that are all zero have no direction. They count
as equal to each other and unlike all others.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .base import Measurement, Metric, MetricNotApplicable, standard_deviation
from .feature_set import MEAN_BLOCK_ROWS, FeatureSet, Tensors
from .frechet import EIGENVALUE_ROUNDING, add_scatter
from .mind import draw_some

MAX_VENDI_SIDE = 4096  # maximal size of a matrix for eigenvalues
FAKES_SEED = 2020


@dataclass(frozen=True)
class Vendi(Metric):
    version = 2  # 1 used the first fakes if there were more than reals
    direction = "higher"
    transform = "log"

    order: float = 1.0

    def __post_init__(self) -> None:
        if not self.order > 0:
            raise ValueError(f"order must be above 0, not {self.order}")

    def check_applicable(self, fake: FeatureSet, real: FeatureSet) -> None:
        super().check_applicable(fake, real)
        if min(compared_count(fake, real), fake.features.shape[1]) > MAX_VENDI_SIDE:
            raise MetricNotApplicable(
                f"eigenvalues are computed for at most {MAX_VENDI_SIDE:,} features or examples"
            )

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        n = compared_count(fake, real)
        random = torch.Generator().manual_seed(FAKES_SEED)
        fake_entropy, error = cosine_entropy(draw_some(fake.features, n, random), self.order)
        value = math.exp(fake_entropy - self.reference(real, n))
        return Measurement(value, value * error)

    def reference(self, real: FeatureSet, n: int) -> float:
        """Returns the entropy of n evenly spaced reals, computed once per reference."""

        def make() -> Tensors:
            value, _ = cosine_entropy(real.features[torch.arange(n) * len(real) // n], self.order)
            return {"entropy": torch.tensor(value, dtype=torch.float64)}

        return float(real.cached(f"vendi(order={self.order}, count={n})", make)["entropy"])

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        return 1.0


def compared_count(fake: FeatureSet, real: FeatureSet) -> int:
    return min(len(fake), len(real))


def cosine_entropy(features: Tensor, order: float) -> tuple[float, float]:
    """Returns the entropy of the cosines in nats, and its standard error.

    The error comes from the entropy's derivative x′ f(C) x towards each example x.
    """
    values, vectors = cosine_spectrum(features)
    value, slopes = renyi_entropy(values.log(), order)
    axes = vectors.to(features.dtype)  # enough precision for an error
    blocks = [
        (unit_features(rows).to(axes) @ axes).square().double() @ slopes
        for rows in features.split(MEAN_BLOCK_ROWS)
    ]
    return float(value), standard_deviation(torch.cat(blocks)) / len(features) ** 0.5


def renyi_entropy(logs: Tensor, order: float) -> tuple[Tensor, Tensor]:
    """Returns the entropy of shares with these logarithms, and its derivatives.

    The derivatives with respect to the shares are correct up to a constant.
    """
    if order == 1:
        return -(logs.exp() * logs).sum(), -logs
    total = (order * logs).logsumexp(0)
    return total / (1 - order), order / (1 - order) * ((order - 1) * logs - total).exp()


def cosine_spectrum(features: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the eigenvalues and eigenvectors of C, the mean of x x′.

    The values [R] are those above zero, the vectors are [D + 1, R].
    """
    n = len(features)
    if n > features.shape[1]:
        return positive_eigenpairs(*torch.linalg.eigh(second_moments(features)))
    x = unit_features(features)
    values, vectors = positive_eigenpairs(*torch.linalg.eigh(x @ x.T / n))
    return values, x.T @ vectors / (n * values).sqrt()


def positive_eigenpairs(values: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    is_positive = values > EIGENVALUE_ROUNDING * len(values) * values[-1]
    return values[is_positive], vectors[:, is_positive]


def second_moments(features: Tensor) -> Tensor:
    width = features.shape[1] + 1
    total = features.new_zeros(width, width, dtype=torch.float64)
    for rows in features.split(MEAN_BLOCK_ROWS):
        add_scatter(total, unit_features(rows))
    return total / len(features)


def unit_features(features: Tensor) -> Tensor:
    """Returns features of length 1 [N, D + 1]; the last is 1 for features of length 0."""
    rows = features.double()
    lengths = rows.norm(dim=1, keepdim=True)
    none = lengths == 0
    return torch.cat([rows / lengths.where(~none, 1.0), none.double()], 1)
