"""Facts from inner products: one blocked sweep over pairs of examples serves every metric of pairs.

No matrix of all pairs is ever held. Kernels (Bińkowski et al., 2018) and distances come from the same
products of features, which are taken about the mean of one side: a common offset costs no digits.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .feature_set import BLOCK, FeatureSet, Tensors, mean_of

NARROW = 512  # features at most for which products in double precision cost little
TILE = 2**22  # pairs held at a time: few enough for the processor's cache


@dataclass(eq=False)
class Pairs:
    """Two samples about a centre, the mean of the second [D], in the precision of the products."""

    x: FeatureSet
    y: FeatureSet

    @cached_property
    def centre(self) -> Tensor:
        return mean_of(self.y.features)

    def centred(self, rows: Tensor) -> Tensor:
        dtype = torch.float64 if rows.shape[1] <= NARROW else torch.float32
        return rows.to(dtype) - self.centre.to(dtype)

    @cached_property
    def theirs(self) -> Tensor:
        return self.centred(self.y.features)

    @cached_property
    def squares(self) -> Tensor:
        return torch.cat([rows.square().sum(1) for rows in self.theirs.split(BLOCK)])

    @cached_property
    def along(self) -> Tensor:
        return torch.cat([self.towards_centre(rows) for rows in self.theirs.split(BLOCK)])

    def towards_centre(self, rows: Tensor) -> Tensor:
        """Each row's product with the centre as it was taken off, by the width: float64 [r].

        Shared by a whole row of pairs, its rounding would not be averaged out of their sum.
        """
        return rows.double() @ self.centre.to(rows).double() / rows.shape[1]

    def tiles(self) -> Iterator["Tile"]:
        count = max(1, TILE // len(self.y))
        for start in range(0, len(self.x), count):
            ours = self.centred(self.x.features[start : start + count])
            yield Tile(self, start, ours, ours @ self.theirs.T)


@dataclass(eq=False)
class Tile:
    """Some rows of x against all of y: their inner products about the centre [r, M], and what follows."""

    pairs: Pairs
    start: int  # the first of the rows
    ours: Tensor  # the rows about the centre [r, D]
    gram: Tensor

    @property
    def rows(self) -> slice:
        return slice(self.start, self.start + len(self.gram))

    @cached_property
    def distances(self) -> Tensor:
        """Squared Euclidean distances; an example's distance to itself is infinite."""
        found = torch.add(self.pairs.squares, self.gram, alpha=-2)
        found.add_(self.ours.square().sum(1)[:, None]).clamp_(min=0)
        return self.without_itself(found, torch.inf)

    @cached_property
    def kernel(self) -> Tensor:
        """KID's cubic kernel (x·y / D + 1)³ of the features as they are; an example with itself is 0."""
        centre, width = self.pairs.centre.to(self.ours).double(), self.ours.shape[1]
        shift = self.pairs.towards_centre(self.ours) + centre @ centre / width + 1
        inner = self.gram.div(width).add_(shift.to(self.gram)[:, None])
        inner.add_(self.pairs.along.to(self.gram))
        return self.without_itself(inner.pow_(3), 0.0)

    def without_itself(self, found: Tensor, value: float) -> Tensor:
        if self.pairs.x is self.pairs.y:
            found.diagonal(self.start).fill_(value)
        return found


@dataclass(frozen=True)
class PairwiseStatistic:
    """What pairs tell, tile by tile: something of each row, and something that is summed over tiles."""

    def of_rows(self, tile: Tile) -> Tensor | None:
        return None

    def summed(self, tile: Tile) -> Tensor | None:
        return None


def told(fact: PairwiseStatistic, x: FeatureSet, y: FeatureSet) -> Tensors:
    """A fact's "rows" and "sum"; from the shelf of x, or else from a sweep for it alone."""
    sweep(x, y, [fact])
    found = x.shelf.get(key(fact, x, y))
    assert found is not None
    return found


def sweep(x: FeatureSet, y: FeatureSet, facts: Iterable[PairwiseStatistic]) -> None:
    """Puts those of the facts that are not yet known on the shelf of x, from one pass over the pairs."""
    missing = [fact for fact in dict.fromkeys(facts) if x.shelf.get(key(fact, x, y)) is None]
    rows: dict[PairwiseStatistic, Tensor] = {}
    sums: dict[PairwiseStatistic, Tensor] = {}
    for tile in Pairs(x, y).tiles() if missing else ():
        for fact in missing:
            if (found := fact.of_rows(tile)) is not None:
                # In place: small results that are kept between tiles would keep their memory apart.
                rows.setdefault(fact, found.new_empty(len(x), *found.shape[1:]))[tile.rows] = found
            if (found := fact.summed(tile)) is not None:
                sums.setdefault(fact, torch.zeros_like(found)).add_(found)
    for fact in missing:
        made = {"rows": rows[fact]} if fact in rows else {}
        x.shelf.put(key(fact, x, y), made | ({"sum": sums[fact]} if fact in sums else {}))


def key(
    fact: PairwiseStatistic, x: FeatureSet, y: FeatureSet
) -> str | tuple[PairwiseStatistic, FeatureSet]:
    """A fact of one sample has a name that outlives it; one of two is theirs alone."""
    return str(fact) if x is y else (fact, y)


@dataclass(frozen=True)
class Neighbours(PairwiseStatistic):
    """Rows: the squared distances to the k nearest others, the nearest first [N, k]."""

    k: int

    def of_rows(self, tile: Tile) -> Tensor:
        return tile.distances.topk(self.k, largest=False).values


@dataclass(frozen=True)
class AmongReals(PairwiseStatistic):
    """Rows: does a ball of y hold it [N]? A ball reaches its centre's k-th nearest other, and holds that."""

    k: int

    def of_rows(self, tile: Tile) -> Tensor:
        return (tile.distances <= radii(tile.pairs.y, self.k)).any(1)


@dataclass(frozen=True)
class InReals(PairwiseStatistic):
    """Rows: how many of y's balls hold it, surfaces left out [N]."""

    k: int

    def of_rows(self, tile: Tile) -> Tensor:
        return (tile.distances < radii(tile.pairs.y, self.k)).sum(1, dtype=torch.int32)


def radii(sample: FeatureSet, k: int) -> Tensor:
    """The squared distance from each example to its k-th nearest other [N]."""
    return told(Neighbours(k), sample, sample)["rows"][:, -1]


@dataclass(frozen=True)
class Kernels(PairwiseStatistic):
    """Rows: the sum of each row's kernels, float64 [N]."""

    def of_rows(self, tile: Tile) -> Tensor:
        return tile.kernel.sum(1, dtype=torch.float64)
