"""Bins: the cells of a k-means of reals (Lloyd, 1982; Arthur and Vassilvitskii, 2007).

Centres are nearer to the reals that they were made from than to any others, so they come from one
half of the reals, and the bins' shares from the rest: else a perfect generator would seem to differ.
There are at most a tenth as many bins as that half has reals. The half is cut at 10,000, which bounds
the cost: of 2,048 features it takes a quarter of a minute, once a reference.
"""

import warnings
from dataclasses import dataclass

import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor

from .base import Metric, MetricNotApplicable
from .feature_set import MEAN_BLOCK_ROWS, FeatureSet, Tensors
from .pairwise import MAX_COLUMNS_PER_PRODUCT

KMEANS_SEED = 2018
MAX_KMEANS_POINTS = 10_000  # reals at most from which centres are made
MIN_REALS_PER_BIN = 10  # of them a bin, on average
KMEANS_ROUNDS = 20  # of Lloyd's


@dataclass(frozen=True)
class BinnedMetric(Metric):
    """A metric of the shares of fakes and of reals in each bin."""

    bins: int = 100

    def __post_init__(self) -> None:
        if self.bins < 2:
            raise ValueError(f"there must be at least 2 bins, not {self.bins}")

    def check_applicable(self, fake: FeatureSet, real: FeatureSet) -> None:
        super().check_applicable(fake, real)
        if len(real) < 4 * MIN_REALS_PER_BIN:
            raise MetricNotApplicable(
                f"two bins need at least {4 * MIN_REALS_PER_BIN} reals, not {len(real)}"
            )
        if len(self.count_reals(real)) < 2:
            raise MetricNotApplicable("the reals are all alike, so that there is but one bin")

    def count_reals(self, real: FeatureSet) -> Tensor:
        """How many reals are in each bin: float64 [K]."""
        return self.cached_bins(real)["counts"]

    def count_fakes(self, fake: FeatureSet, real: FeatureSet) -> Tensor:
        """How many fakes are in each bin: float64 [K]."""

        def make() -> Tensors:
            return {"counts": count_nearest(fake.features, self.cached_bins(real)["centres"])}

        return fake.cached(("bins", self.bins, real), make)["counts"]

    def cached_bins(self, real: FeatureSet) -> Tensors:
        """Centres [K, D], and how many other reals are nearest to each [K]; computed once a reference."""
        return real.cached(f"bins({self.bins})", lambda: make_bins(real.features, self.bins))


def make_bins(reals: Tensor, bins: int) -> Tensors:
    random = torch.Generator().manual_seed(KMEANS_SEED)
    order = torch.randperm(len(reals), generator=random).to(reals.device)
    half = min(MAX_KMEANS_POINTS, len(reals) // 2)
    points = reals[order[:half]].to(
        "cpu", torch.float64 if reals.shape[1] <= MAX_COLUMNS_PER_PRODUCT else None
    )
    start = kmeans_plus_plus(points, min(bins, half // MIN_REALS_PER_BIN), random)
    centres = lloyd_iterations(points, start).to(reals.device, torch.float64)
    return {"centres": centres, "counts": count_nearest(reals[order[half:]], centres)}


def kmeans_plus_plus(points: Tensor, bins: int, random: torch.Generator) -> Tensor:
    """By k-means++: each with a chance as its squared distance to the nearest before; none twice."""
    chosen = [points[int(torch.randint(len(points), (1,), generator=random))]]
    nearest = points.new_full((len(points),), torch.inf, dtype=torch.float64)
    for _ in range(bins - 1):
        nearest = nearest.minimum((points - chosen[-1]).norm(dim=1).double().square())
        if not nearest.any():
            break
        chosen.append(points[int((nearest / nearest.max()).multinomial(1, generator=random))])
    return torch.stack(chosen)


def lloyd_iterations(points: Tensor, start: Tensor) -> Tensor:
    with warnings.catch_warnings():  # a bin may become empty, and stays where it was
        warnings.simplefilter("ignore", UserWarning)
        centres, _ = kmeans2(points.numpy(), start.numpy(), KMEANS_ROUNDS, minit="matrix")
    return torch.from_numpy(centres)


def count_nearest(features: Tensor, centres: Tensor) -> Tensor:
    """How many examples are nearest to each centre: float64 [K]."""
    nearest = [
        torch.cdist(rows.double(), centres).argmin(1) for rows in features.split(MEAN_BLOCK_ROWS)
    ]
    return torch.cat(nearest).bincount(minlength=len(centres)).double()
