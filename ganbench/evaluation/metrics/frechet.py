"""The Fréchet distance of Gaussians (Fréchet, 1957; Dowson and Landau, 1982), its error and its bias.

With S₁ = A A′ the trace of (S₁ S₂)^½ is the sum of the roots of the eigenvalues of A′ S₂ A, a symmetric
matrix; A is made once a reference. From fewer examples than features it is the sum of the singular
values of the centred examples times A, which takes no root of what is zero but for rounding.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .base import MetricNotApplicable, deviation
from .feature_set import BLOCK, FeatureSet, Tensors, mean_of

GROUPS = 20  # of the jackknife
FEWEST = 40  # examples from which a jackknife makes sense: two a group
ROUNDING = 1e-14  # of the largest eigenvalue: what is below it is zero


@dataclass(frozen=True, eq=False)
class Moments:
    """How many, their mean [D], and the sum of squares about it [D, D], in float64."""

    count: int
    mean: Tensor
    scatter: Tensor

    @property
    def covariance(self) -> Tensor:
        return self.scatter / (self.count - 1)

    def without(self, part: "Moments") -> "Moments":
        """Those of the rest, by Chan, Golub and LeVeque (1979) backwards."""
        count = self.count - part.count
        mean = self.mean + (self.mean - part.mean) * (part.count / count)
        gap = part.mean - mean
        between = torch.outer(gap, gap) * (count * part.count / self.count)
        return Moments(count, mean, self.scatter - part.scatter - between)


def moments_of(features: Tensor) -> Moments:
    mean = mean_of(features)
    scatter = mean.new_zeros(len(mean), len(mean))
    for block in features.split(BLOCK):
        add_products(scatter, block.double() - mean)
    return Moments(len(features), mean, scatter)


def add_products(scatter: Tensor, rows: Tensor) -> None:
    """Adds rows′ rows in stripes, and mirrors each: the half of a product that is enough."""
    stripe = max(1, -(-len(scatter) // 8))
    for start in range(0, len(scatter), stripe):
        end = start + stripe
        product = rows[:, start:end].T @ rows[:, start:]
        scatter[start:end, start:] += product
        scatter[end:, start:end] = scatter[start:end, end:].T


def moments(sample: FeatureSet) -> Moments:
    """Those of a sample, computed once."""

    def make() -> Tensors:
        found = moments_of(sample.features)
        return {"mean": found.mean, "scatter": found.scatter}

    return Moments(len(sample), **sample.derived("moments", make))


def factor(real: FeatureSet) -> Tensor:
    """A [D, R] with A A′ the covariance, R its rank; computed once a reference."""

    def make() -> Tensors:
        values, vectors = torch.linalg.eigh(moments(real).covariance)
        kept = values > ROUNDING * len(values) * values[-1].clamp(min=0)
        return {"factor": vectors[:, kept] * values[kept].sqrt()}

    return real.derived("factor", make)["factor"]


def distance(fake: FeatureSet, real: FeatureSet) -> float:
    """The squared Fréchet distance, never below zero: rounding can leave -4e-15 for equal sets."""
    if is_short(fake):
        return short_distance(fake.features, real)
    return combined(moments(fake), spectrum(fake, real)[0], real)


def spectrum(fake: FeatureSet, real: FeatureSet) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors of A′ S₂ A; computed once a pair of samples."""

    def make() -> Tensors:
        a = factor(real)
        values, vectors = torch.linalg.eigh(a.T @ moments(fake).covariance @ a)
        return {"values": values, "vectors": vectors}

    found = fake.derived(("spectrum", real), make)
    return found["values"], found["vectors"]


def is_short(fake: FeatureSet) -> bool:
    """Are there too few fakes for a covariance of full rank?"""
    return len(fake) <= fake.features.shape[1]


def long_distance(ours: Moments, real: FeatureSet) -> float:
    a = factor(real)
    values = torch.linalg.eigvalsh(a.T @ ours.covariance @ a)
    return combined(ours, values, real)


def combined(ours: Moments, values: Tensor, real: FeatureSet) -> float:
    """The distance, by the eigenvalues of A′ S₂ A."""
    roots = values.clamp(min=0).sqrt().sum()
    return total(ours.mean, ours.covariance.trace(), roots, real)


def short_distance(features: Tensor, real: FeatureSet) -> float:
    rows = features.double()
    mean = rows.mean(0)
    rows = (rows - mean) / (len(rows) - 1) ** 0.5
    roots = torch.linalg.svdvals(rows @ factor(real)).sum()
    return total(mean, rows.square().sum(), roots, real)


def total(mean: Tensor, trace: Tensor, roots: Tensor, real: FeatureSet) -> float:
    theirs = moments(real)
    gap = (mean - theirs.mean).square().sum()
    return max(0.0, float(gap + trace + theirs.covariance.trace() - 2 * roots))


def influence(fake: FeatureSet, real: FeatureSet) -> Tensor:
    """How far each fake moves the distance, but for a constant: [N], of more fakes than features.

    The derivative of the distance towards x is 2 (x - m₂)·(m₂ - m₁) + (x - m₂)′ (I - T) (x - m₂), where
    T maps the fakes' Gaussian to the reals' best; one eigendecomposition of A′ S₂ A gives T = P P′.
    """
    ours, (values, vectors) = moments(fake), spectrum(fake, real)
    kept = values > ROUNDING * len(values) * values[-1].clamp(min=0)
    root = (factor(real) @ (vectors[:, kept] / values[kept] ** 0.25)).to(fake.features.dtype)
    towards = 2 * (ours.mean - moments(real).mean)
    parts = []
    for block in fake.features.split(BLOCK):
        rows = block.double() - ours.mean
        mapped = (rows.to(root.dtype) @ root).double()
        parts.append(rows @ towards + rows.square().sum(1) - mapped.square().sum(1))
    return torch.cat(parts)


def spread(fake: FeatureSet, real: FeatureSet) -> float | None:
    """The standard deviation of one fake's influence: the distance's error is this over √N."""
    if not is_short(fake):
        return deviation(influence(fake, real))
    if len(fake) < FEWEST:
        return None
    return jackknife_error(deleted(fake, real)) * len(fake) ** 0.5


def deleted(fake: FeatureSet, real: FeatureSet) -> Tensor:
    """The distance without each of the groups of fakes: [GROUPS]."""
    return torch.tensor(list(deletions(fake, real)), dtype=torch.float64)


def deletions(fake: FeatureSet, real: FeatureSet) -> Iterator[float]:
    groups = torch.arange(len(fake)).tensor_split(GROUPS)
    for group in groups:
        first, end = int(group[0]), int(group[-1]) + 1
        if len(fake) - len(group) <= fake.features.shape[1]:
            rest = torch.cat([fake.features[:first], fake.features[end:]])
            yield short_distance(rest, real)
        else:
            part = moments_of(fake.features[first:end])
            yield long_distance(moments(fake).without(part), real)


def need_groups(fake: FeatureSet) -> None:
    if len(fake) < FEWEST:
        raise MetricNotApplicable(f"a jackknife of {GROUPS} groups needs at least {FEWEST} fakes")


def jackknife_error(without: Tensor) -> float:
    """From the values without each group (Tukey, 1958)."""
    return (len(without) - 1) ** 0.5 * float(without.std(correction=0))


def expected(real: FeatureSet, count: int) -> float | None:
    """What a perfect generator's distance is expected to be, by the second order of its expansion.

    For Gaussian features: each side of N examples adds (3/2 Σ l_i + Σ_{i<j} l_i l_j / (l_i + l_j)) / N,
    l the eigenvalues of the covariance. None where there are too few examples for that order to do.
    """
    values = factor(real).square().sum(0)
    if min(count, len(real)) < 4 * len(values):
        return None
    pairs = values[:, None] * values / (values[:, None] + values)
    off_diagonal = (pairs.sum() - pairs.diagonal().sum()) / 2
    return float(1.5 * values.sum() + off_diagonal) * (1 / count + 1 / len(real))
