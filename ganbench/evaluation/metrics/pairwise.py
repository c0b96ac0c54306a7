"""Facts from inner products: one blocked sweep over pairs of examples serves every metric of pairs.

No matrix of all pairs is ever held. Kernels (Bińkowski et al., 2018) and distances come from the same
products of features, which are taken about the mean of one side: a common offset costs no digits.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .feature_set import MEAN_BLOCK_ROWS, FeatureSet, Tensors, mean_in_float64

MAX_COLUMNS_PER_PRODUCT = 512  # features at most for which products in double precision cost little
PAIRS_PER_TILE = 2**22  # pairs held at a time: few enough for the processor's cache


@dataclass(eq=False)
class CentredPairs:
    """Two samples about a centre, the mean of the second [D], in the precision of the products."""

    x: FeatureSet
    y: FeatureSet

    @cached_property
    def centre(self) -> Tensor:
        return mean_in_float64(self.y.features)

    def centre_rows(self, rows: Tensor) -> Tensor:
        dtype = torch.float64 if rows.shape[1] <= MAX_COLUMNS_PER_PRODUCT else torch.float32
        return rows.to(dtype) - self.centre.to(dtype)

    @cached_property
    def centred_y(self) -> Tensor:
        return self.centre_rows(self.y.features)

    @cached_property
    def squared_norms(self) -> Tensor:
        return torch.cat([rows.square().sum(1) for rows in self.centred_y.split(MEAN_BLOCK_ROWS)])

    @cached_property
    def products_with_centre(self) -> Tensor:
        return torch.cat(
            [self.product_with_centre(rows) for rows in self.centred_y.split(MEAN_BLOCK_ROWS)]
        )

    def product_with_centre(self, rows: Tensor) -> Tensor:
        """Each row's product with the centre as it was taken off, by the width: float64 [r].

        Shared by a whole row of pairs, its rounding would not be averaged out of their sum.
        """
        return rows.double() @ self.centre.to(rows).double() / rows.shape[1]

    def iter_tiles(self) -> Iterator["PairTile"]:
        count = max(1, PAIRS_PER_TILE // len(self.y))
        for start in range(0, len(self.x), count):
            centred_x = self.centre_rows(self.x.features[start : start + count])
            yield PairTile(self, start, centred_x, centred_x @ self.centred_y.T)


@dataclass(eq=False)
class PairTile:
    """Some rows of x against all of y: their inner products about the centre [r, M], and what follows."""

    pairs: CentredPairs
    start: int  # the first of the rows
    ours: Tensor  # the rows about the centre [r, D]
    gram: Tensor

    @property
    def rows(self) -> slice:
        return slice(self.start, self.start + len(self.gram))

    @cached_property
    def distances(self) -> Tensor:
        """Squared Euclidean distances; an example's distance to itself is infinite."""
        squared = torch.add(self.pairs.squared_norms, self.gram, alpha=-2)
        squared.add_(self.ours.square().sum(1)[:, None]).clamp_(min=0)
        return self.mask_itself(squared, torch.inf)

    @cached_property
    def kernel(self) -> Tensor:
        """KID's cubic kernel (x·y / D + 1)³ of the features as they are; an example with itself is 0."""
        centre, width = self.pairs.centre.to(self.ours).double(), self.ours.shape[1]
        shift = self.pairs.product_with_centre(self.ours) + centre @ centre / width + 1
        inner = self.gram.div(width).add_(shift.to(self.gram)[:, None])
        inner.add_(self.pairs.products_with_centre.to(self.gram))
        return self.mask_itself(inner.pow_(3), 0.0)

    def mask_itself(self, values: Tensor, value: float) -> Tensor:
        if self.pairs.x is self.pairs.y:
            values.diagonal(self.start).fill_(value)
        return values


@dataclass(frozen=True)
class PairwiseStatistic:
    """What pairs tell, tile by tile: something of each row, and something that is summed over tiles."""

    def compute_rows(self, tile: PairTile) -> Tensor | None:
        return None

    def compute_sum(self, tile: PairTile) -> Tensor | None:
        return None


def pairwise_statistic(statistic: PairwiseStatistic, x: FeatureSet, y: FeatureSet) -> Tensors:
    """A statistic's "rows" and "sum"; from the cache of x, or else from a sweep for it alone."""
    compute_pairwise(x, y, [statistic])
    cached = x.cache.get(statistic_key(statistic, x, y))
    assert cached is not None
    return cached


def compute_pairwise(x: FeatureSet, y: FeatureSet, statistics: Iterable[PairwiseStatistic]) -> None:
    """Puts those of the statistics that are not yet known into the cache of x, from one pass over the pairs."""
    missing = [
        statistic
        for statistic in dict.fromkeys(statistics)
        if x.cache.get(statistic_key(statistic, x, y)) is None
    ]
    rows: dict[PairwiseStatistic, Tensor] = {}
    sums: dict[PairwiseStatistic, Tensor] = {}
    for tile in CentredPairs(x, y).iter_tiles() if missing else ():
        for statistic in missing:
            if (result := statistic.compute_rows(tile)) is not None:
                # In place: small results that are kept between tiles would keep their memory apart.
                rows.setdefault(statistic, result.new_empty(len(x), *result.shape[1:]))[
                    tile.rows
                ] = result
            if (result := statistic.compute_sum(tile)) is not None:
                sums.setdefault(statistic, torch.zeros_like(result)).add_(result)
    for statistic in missing:
        results = {"rows": rows[statistic]} if statistic in rows else {}
        x.cache.put(
            statistic_key(statistic, x, y),
            results | ({"sum": sums[statistic]} if statistic in sums else {}),
        )


def statistic_key(
    statistic: PairwiseStatistic, x: FeatureSet, y: FeatureSet
) -> str | tuple[PairwiseStatistic, FeatureSet]:
    """A statistic of one sample has a name that outlives it; one of two is theirs alone."""
    return str(statistic) if x is y else (statistic, y)


@dataclass(frozen=True)
class NearestNeighbourDistances(PairwiseStatistic):
    """Rows: the squared distances to the k nearest others, the nearest first [N, k]."""

    k: int

    def compute_rows(self, tile: PairTile) -> Tensor:
        return tile.distances.topk(self.k, largest=False).values


@dataclass(frozen=True)
class IsInRealBall(PairwiseStatistic):
    """Rows: does a ball of y hold it [N]? A ball reaches its centre's k-th nearest other, and holds that."""

    k: int

    def compute_rows(self, tile: PairTile) -> Tensor:
        return (tile.distances <= knn_radii(tile.pairs.y, self.k)).any(1)


@dataclass(frozen=True)
class RealBallCounts(PairwiseStatistic):
    """Rows: how many of y's balls hold it, surfaces left out [N]."""

    k: int

    def compute_rows(self, tile: PairTile) -> Tensor:
        return (tile.distances < knn_radii(tile.pairs.y, self.k)).sum(1, dtype=torch.int32)


def knn_radii(sample: FeatureSet, k: int) -> Tensor:
    """The squared distance from each example to its k-th nearest other [N]."""
    return pairwise_statistic(NearestNeighbourDistances(k), sample, sample)["rows"][:, -1]


@dataclass(frozen=True)
class KernelRowSums(PairwiseStatistic):
    """Rows: the sum of each row's kernels, float64 [N]."""

    def compute_rows(self, tile: PairTile) -> Tensor:
        return tile.kernel.sum(1, dtype=torch.float64)
