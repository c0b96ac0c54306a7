"""The Fréchet distance of Gaussians (Fréchet, 1957; Dowson and Landau, 1982).

This module computes the distance, its standard error and its expected bias.

With S₁ = A A′, the trace of (S₁ S₂)^½ is the sum of the square roots of the eigenvalues of A′ S₂ A.
That matrix is symmetric, and A is computed once per reference. With fewer examples than features,
the trace is the sum of the singular values of the centred examples times A. This avoids square
roots of eigenvalues that differ from zero by rounding only. If one side has no variance, the trace
is zero, and the distance is `‖μ₁ − μ₂‖² + tr(S)` of the other side's S.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .base import MetricNotApplicable, standard_deviation
from .feature_set import MEAN_BLOCK_ROWS, FeatureSet, Tensors, mean_in_float64

JACKKNIFE_GROUPS = 20
JACKKNIFE_SEED = 2020
MIN_JACKKNIFE_FAKES = 40  # two per group
EIGENVALUE_ROUNDING = 1e-14  # times the size and the largest eigenvalue; less counts as zero


@dataclass(frozen=True, eq=False)
class Moments:
    """The count, the mean [D] and the sum of squares about the mean [D, D], in float64."""

    count: int
    mean: Tensor
    scatter: Tensor

    @property
    def covariance(self) -> Tensor:
        return self.scatter / (self.count - 1)

    def without(self, part: "Moments") -> "Moments":
        """Returns the moments of the remaining examples.

        Inverts the update of Chan, Golub and LeVeque (1979).
        """
        count = self.count - part.count
        mean = self.mean + (self.mean - part.mean) * (part.count / count)
        gap = part.mean - mean
        between = torch.outer(gap, gap) * (count * part.count / self.count)
        return Moments(count, mean, self.scatter - part.scatter - between)


def compute_moments(features: Tensor) -> Moments:
    mean = mean_in_float64(features)
    scatter = mean.new_zeros(len(mean), len(mean))
    for block in features.split(MEAN_BLOCK_ROWS):
        add_scatter(scatter, block.double() - mean)
    return Moments(len(features), mean, scatter)


def add_scatter(scatter: Tensor, rows: Tensor) -> None:
    """Adds rows′ rows to a symmetric matrix in place.

    It computes one half of the product in stripes and mirrors each stripe.
    """
    stripe = max(1, -(-len(scatter) // 8))
    for start in range(0, len(scatter), stripe):
        end = start + stripe
        product = rows[:, start:end].T @ rows[:, start:]
        scatter[start:end, start:] += product
        scatter[end:, start:end] = scatter[start:end, end:].T


def cached_moments(sample: FeatureSet) -> Moments:
    """Returns the moments of a sample, computed once per sample."""

    def make() -> Tensors:
        computed = compute_moments(sample.features)
        return {"mean": computed.mean, "scatter": computed.scatter}

    return Moments(len(sample), **sample.cached("moments", make))


def covariance_factor(real: FeatureSet) -> Tensor:
    """Returns A [D, R] with A A′ the covariance and R its rank, computed once per reference."""

    def make() -> Tensors:
        values, vectors = torch.linalg.eigh(cached_moments(real).covariance)
        kept = is_significant(values)
        return {"factor": vectors[:, kept] * values[kept].sqrt()}

    return real.cached("factor", make)["factor"]


def is_significant(values: Tensor) -> Tensor:
    """Returns which ascending eigenvalues differ from zero by more than rounding: bool [D].

    There are none for a side without variance, which has a factor of rank 0.
    """
    largest = values[-1:].clamp(min=0).sum()
    return values > EIGENVALUE_ROUNDING * len(values) * largest


def frechet_distance(fake: FeatureSet, real: FeatureSet) -> float:
    """Returns the squared Fréchet distance, clamped at zero.

    Rounding alone can give -4e-15 for equal sets.
    """
    if is_rank_deficient(fake):
        return distance_by_singular_values(fake.features, real)
    return combine_distance(cached_moments(fake), shared_spectrum(fake, real)[0], real)


def shared_spectrum(fake: FeatureSet, real: FeatureSet) -> tuple[Tensor, Tensor]:
    """Returns eigenvalues and eigenvectors of A′ S₂ A, computed once per pair of samples."""

    def make() -> Tensors:
        a = covariance_factor(real)
        values, vectors = torch.linalg.eigh(a.T @ cached_moments(fake).covariance @ a)
        return {"values": values, "vectors": vectors}

    cached = fake.cached(("spectrum", real), make)
    return cached["values"], cached["vectors"]


def is_rank_deficient(fake: FeatureSet) -> bool:
    """Returns whether there are too few fakes for a covariance of full rank."""
    return len(fake) <= fake.features.shape[1]


def distance_by_spectrum(fake_moments: Moments, real: FeatureSet) -> float:
    a = covariance_factor(real)
    values = torch.linalg.eigvalsh(a.T @ fake_moments.covariance @ a)
    return combine_distance(fake_moments, values, real)


def combine_distance(fake_moments: Moments, values: Tensor, real: FeatureSet) -> float:
    """Returns the distance from the eigenvalues of A′ S₂ A."""
    roots = values.clamp(min=0).sqrt().sum()
    return total_distance(fake_moments.mean, fake_moments.covariance.trace(), roots, real)


def distance_by_singular_values(features: Tensor, real: FeatureSet) -> float:
    rows = features.double()
    mean = rows.mean(0)
    rows = (rows - mean) / (len(rows) - 1) ** 0.5
    roots = torch.linalg.svdvals(rows @ covariance_factor(real)).sum()
    return total_distance(mean, rows.square().sum(), roots, real)


def total_distance(mean: Tensor, trace: Tensor, roots: Tensor, real: FeatureSet) -> float:
    real_moments = cached_moments(real)
    gap = (mean - real_moments.mean).square().sum()
    return max(0.0, float(gap + trace + real_moments.covariance.trace() - 2 * roots))


def influence_of_fakes(fake: FeatureSet, real: FeatureSet) -> Tensor:
    """Returns each fake's influence on the distance, up to a constant: [N].

    It needs more fakes than features. The derivative of the distance towards x is 2 (x - m₂)·(m₂ -
    m₁) + (x - m₂)′ (I - T) (x - m₂). T is the optimal map from the fakes' Gaussian to the reals'.
    One eigendecomposition of A′ S₂ A gives T = P P′.
    """
    fake_moments, (values, vectors) = cached_moments(fake), shared_spectrum(fake, real)
    kept = is_significant(values)
    root = (covariance_factor(real) @ (vectors[:, kept] / values[kept] ** 0.25)).to(
        fake.features.dtype
    )
    towards = 2 * (fake_moments.mean - cached_moments(real).mean)
    parts = []
    for block in fake.features.split(MEAN_BLOCK_ROWS):
        rows = block.double() - fake_moments.mean
        mapped = (rows.to(root.dtype) @ root).double()
        parts.append(rows @ towards + rows.square().sum(1) - mapped.square().sum(1))
    return torch.cat(parts)


def influence_deviation(fake: FeatureSet, real: FeatureSet) -> float | None:
    """Returns the standard deviation of one fake's influence.

    The standard error of the distance is this value divided by √N. Returns None if there are too
    few fakes for a jackknife.
    """
    if not is_rank_deficient(fake):
        return standard_deviation(influence_of_fakes(fake, real))
    if len(fake) < MIN_JACKKNIFE_FAKES:
        return None
    return jackknife_error(distances_without_groups(fake, real)) * len(fake) ** 0.5


def distances_without_groups(fake: FeatureSet, real: FeatureSet) -> Tensor:
    """Returns the distance without each group of fakes: [JACKKNIFE_GROUPS]."""
    return torch.tensor(list(group_deletions(fake, real)), dtype=torch.float64)


def group_deletions(fake: FeatureSet, real: FeatureSet) -> Iterator[float]:
    for group in draw_jackknife_groups(len(fake), fake.features.device):
        if len(fake) - len(group) <= fake.features.shape[1]:
            kept = torch.ones_like(fake.features[:, 0], dtype=torch.bool)
            kept[group] = False
            yield distance_by_singular_values(fake.features[kept], real)
        else:
            part = compute_moments(fake.features[group])
            yield distance_by_spectrum(cached_moments(fake).without(part), real)


def draw_jackknife_groups(count: int, device: torch.device) -> tuple[Tensor, ...]:
    """Returns the indices of the fakes in each group, the same at each call.

    The groups are random, because the files of a folder are often ordered by class.
    """
    random = torch.Generator().manual_seed(JACKKNIFE_SEED)
    shuffled = torch.randperm(count, generator=random).to(device)
    return shuffled.tensor_split(JACKKNIFE_GROUPS)


def need_groups(fake: FeatureSet) -> None:
    if len(fake) < MIN_JACKKNIFE_FAKES:
        raise MetricNotApplicable(
            f"a jackknife of {JACKKNIFE_GROUPS} groups needs at least {MIN_JACKKNIFE_FAKES} fakes"
        )


def jackknife_error(without: Tensor) -> float:
    """Returns the jackknife standard error from the values without each group (Tukey, 1958)."""
    return (len(without) - 1) ** 0.5 * float(without.std(correction=0))


def expected_distance(real: FeatureSet, count: int) -> float | None:
    """Returns the expected distance of a perfect generator, to second order in its expansion.

    The reals count as independent. If they combine a small pool of examples, as stacked digits do,
    the result is too low. For Gaussian features, each side of N examples adds (3/2 Σ l_i + Σ_{i<j}
    l_i l_j / (l_i + l_j)) / N, where l are the eigenvalues of the covariance. Returns None if there
    are too few examples for that order to suffice.
    """
    values = covariance_factor(real).square().sum(0)
    if min(count, len(real)) < 4 * len(values):
        return None
    pairs = values[:, None] * values / (values[:, None] + values)
    off_diagonal = (pairs.sum() - pairs.diagonal().sum()) / 2
    return float(1.5 * values.sum() + off_diagonal) * (1 / count + 1 / len(real))
