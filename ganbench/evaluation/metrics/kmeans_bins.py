"""Bins: the clusters of a k-means of reals (Lloyd, 1982; Arthur and Vassilvitskii, 2007).

One half of the reals gives the centres, the rest the shares of the bins. Centres are nearer to the
reals they were fitted to than to other examples. With one set for both, even a perfect generator
would seem to differ.

The number of bins is at most a tenth of the reals of the first half. That half is limited to 10,000
reals, which bounds the cost: with 2,048 features it takes 15 seconds, once per reference.
"""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from .base import Metric, MetricNotApplicable
from .feature_set import MEAN_BLOCK_ROWS, FeatureSet, Tensors
from .pairwise import MAX_COLUMNS_PER_PRODUCT

KMEANS_SEED = 2018
MAX_KMEANS_POINTS = 10_000  # reals for the centres
MIN_REALS_PER_BIN = 10  # reals of the first half per bin, on average
KMEANS_ROUNDS = 20  # iterations of Lloyd's algorithm


@dataclass(frozen=True)
class BinnedMetric(Metric):
    """A metric of the shares of fakes and reals in each bin; `bins` is their maximal number."""

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
            raise MetricNotApplicable("the reals are all alike, so there is only one bin")

    def count_reals(self, real: FeatureSet) -> Tensor:
        """Returns the number of reals in each bin: float64 [K]."""
        return self.cached_bins(real)["counts"]

    def count_fakes(self, fake: FeatureSet, real: FeatureSet) -> Tensor:
        """Returns the number of fakes in each bin: float64 [K]."""

        def make() -> Tensors:
            return {"counts": count_nearest(fake.features, self.cached_bins(real)["centres"])}

        return fake.cached(("bins", self.bins, real), make)["counts"]

    def cached_bins(self, real: FeatureSet) -> Tensors:
        """Returns the centres [K, D] and the counts of the remaining reals [K].

        They are computed once per reference.
        """
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
    """Returns initial centres by k-means++, without duplicates.

    The probability of a point is proportional to its squared distance to the nearest centre so far.
    """
    chosen = [points[int(torch.randint(len(points), (1,), generator=random))]]
    nearest = points.new_full((len(points),), torch.inf, dtype=torch.float64)
    for _ in range(bins - 1):
        nearest = nearest.minimum((points - chosen[-1]).norm(dim=1).double().square())
        if not nearest.any():
            break
        chosen.append(points[int((nearest / nearest.max()).multinomial(1, generator=random))])
    return torch.stack(chosen)


def lloyd_iterations(points: Tensor, start: Tensor) -> Tensor:
    from scipy.cluster.vq import kmeans2  # imported here: training needs no SciPy

    with warnings.catch_warnings():  # an empty bin keeps its centre
        warnings.simplefilter("ignore", UserWarning)
        centres, _ = kmeans2(points.numpy(), start.numpy(), KMEANS_ROUNDS, minit="matrix")
    return torch.from_numpy(centres)


def count_nearest(features: Tensor, centres: Tensor) -> Tensor:
    """Returns the number of examples nearest to each centre: float64 [K]."""
    nearest = [
        torch.cdist(rows.double(), centres).argmin(1) for rows in features.split(MEAN_BLOCK_ROWS)
    ]
    return torch.cat(nearest).bincount(minlength=len(centres)).double()
