"""Statistics of pairs of examples, computed for all metrics in one blocked pass.

The matrix of all pairs is never stored. Kernels (Bińkowski et al., 2018) and distances come from
the same inner products of features. The mean of one side is subtracted from the features first, so
a common offset costs no precision.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .feature_set import MEAN_BLOCK_ROWS, FeatureSet, Tensors, mean_in_float64

MAX_COLUMNS_PER_PRODUCT = 512  # maximal width for float64 products
PAIRS_PER_TILE = 2**22  # pairs in memory at once; a tile fits into the CPU cache


@dataclass(eq=False)
class CentredPairs:
    """Two samples, both centred at the mean [D] of the second.

    The products are in float64 for at most MAX_COLUMNS_PER_PRODUCT features, else in float32.
    """

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
        """Returns each row's product with the centre, divided by the width: float64 [r].

        The centre is first rounded to the precision of the rows, as in the subtraction. The product
        is in float64: a whole row of pairs shares it, so its rounding error would not average out.
        """
        return rows.double() @ self.centre.to(rows).double() / rows.shape[1]

    def iter_tiles(self) -> Iterator["PairTile"]:
        count = max(1, PAIRS_PER_TILE // len(self.y))
        for start in range(0, len(self.x), count):
            centred_x = self.centre_rows(self.x.features[start : start + count])
            yield PairTile(self, start, centred_x, centred_x @ self.centred_y.T)


@dataclass(eq=False)
class PairTile:
    """A block of rows of x against all of y: inner products after centring [r, M]."""

    pairs: CentredPairs
    start: int  # index of the first row
    ours: Tensor  # the centred rows [r, D]
    gram: Tensor

    @property
    def rows(self) -> slice:
        return slice(self.start, self.start + len(self.gram))

    @cached_property
    def distances(self) -> Tensor:
        """Squared Euclidean distances [r, M]; infinite from an example to itself."""
        squared = torch.add(self.pairs.squared_norms, self.gram, alpha=-2)
        squared.add_(self.ours.square().sum(1)[:, None]).clamp_(min=0)
        return self.mask_itself(squared, torch.inf)

    @cached_property
    def kernel(self) -> Tensor:
        """KID's cubic kernel (x·y / D + 1)³ of the uncentred features [r, M].

        It is 0 for an example with itself.
        """
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
    """A statistic of pairs of examples, computed tile by tile.

    `compute_rows` gives a value per row of x. `compute_sum` gives a value that is summed over
    tiles.
    """

    def compute_rows(self, tile: PairTile) -> Tensor | None:
        """Returns the values of the tile's rows [r, ...], or None if there are none."""
        return None

    def compute_sum(self, tile: PairTile) -> Tensor | None:
        """Returns the tile's term of a sum over all tiles, or None if there is none."""
        return None


def pairwise_statistic(statistic: PairwiseStatistic, x: FeatureSet, y: FeatureSet) -> Tensors:
    """Returns a statistic's "rows" and "sum" over all pairs of x and y.

    Reads them from the cache of x, or computes them in a pass of their own.
    """
    compute_pairwise(x, y, [statistic])
    cached = x.cache.get(statistic_key(statistic, x, y))
    assert cached is not None
    return cached


def compute_pairwise(x: FeatureSet, y: FeatureSet, statistics: Iterable[PairwiseStatistic]) -> None:
    """Computes the statistics that the cache of x lacks, in one pass over the pairs.

    Stores the results in the cache of x.
    """
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
                # Written in place: keeping small results of each tile would fragment the memory.
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
    """Returns the key under which the cache of x holds a statistic.

    Statistics of one sample have a text as key and may be stored on disk. Statistics of two samples
    have the pair's second sample in the key and stay in memory.
    """
    return str(statistic) if x is y else (statistic, y)


@dataclass(frozen=True)
class NearestNeighbourDistances(PairwiseStatistic):
    """Rows: squared distances to the k nearest other examples, ascending [N, k]."""

    k: int

    def compute_rows(self, tile: PairTile) -> Tensor:
        return tile.distances.topk(self.k, largest=False).values


@dataclass(frozen=True)
class IsInRealBall(PairwiseStatistic):
    """Rows: whether a ball of y contains the example [N].

    A ball reaches to the k-th nearest other example of its centre and includes its surface.
    """

    k: int

    def compute_rows(self, tile: PairTile) -> Tensor:
        return (tile.distances <= knn_radii(tile.pairs.y, self.k)).any(1)


@dataclass(frozen=True)
class RealBallCounts(PairwiseStatistic):
    """Rows: the number of y's balls that contain the example, surfaces excluded [N]."""

    k: int

    def compute_rows(self, tile: PairTile) -> Tensor:
        return (tile.distances < knn_radii(tile.pairs.y, self.k)).sum(1, dtype=torch.int32)


def knn_radii(sample: FeatureSet, k: int) -> Tensor:
    """Returns the squared distance from each example to its k-th nearest other example [N]."""
    return pairwise_statistic(NearestNeighbourDistances(k), sample, sample)["rows"][:, -1]


@dataclass(frozen=True)
class KernelRowSums(PairwiseStatistic):
    """Rows: the sum of each row's kernels, float64 [N]."""

    def compute_rows(self, tile: PairTile) -> Tensor:
        return tile.kernel.sum(1, dtype=torch.float64)
