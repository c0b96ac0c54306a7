"""Interactions: does a trick do more under one loss, in one variant, or beside another trick?

The change that a trick makes at one level is set against that at the others, in places that are alike
but for this; two tricks against what each changes by itself. On a log scale both are ratios of ratios.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from .contrasts import CELL, Cell, Change, Estimate, estimate, holm, measured, tables
from .effects import back, changes_of, names_of, outcomes, weights_in
from .factors import interaction, tricks_in
from .intervals import LEVEL

FACTORS = ("loss", "variant", "data")


@dataclass(frozen=True)
class Interaction:
    """How much more a trick changes in one place than in others; 1 is none on a log scale, else 0."""

    kind: str  # trick × loss, trick × variant, trick × data, trick × trick
    tricks: str
    where: str  # `hinge` against the other losses, or the other trick
    ratio: float
    low: float
    high: float
    cells: int
    p: float  # two-sided, Holm-corrected over all of its kind
    verdict: str  # differs, undecided


def interactions(frame: pd.DataFrame) -> list[Interaction]:
    """All that the grid can tell, those of one kind corrected together."""
    plan = frame.attrs["plan"]["analysis"]
    transform = frame.attrs["plan"]["metrics"][plan["outcome"]]["transform"]
    values = outcomes(frame)
    cells = dict(tables(values, transform))
    changes = {name: of_trick(cells, name, plan["paired"]) for name in names_of(values)}
    found = [
        told(f"trick × {factor}", name, level, mean, count, transform)
        for factor in FACTORS
        for name, known in changes.items()
        for level, mean, count in levels(known, CELL.index(factor))
    ]
    found += [
        told("trick × trick", one, other, mean, count, transform)
        for one, other, mean, count in pairs(cells, plan["paired"])
    ]
    kinds = itertools.groupby(found, key=lambda pair: pair[0].kind)
    return [entry for _, part in kinds for entry in corrected(list(part))]


def of_trick(cells: Mapping[Cell, pd.DataFrame], name: str, paired: bool) -> dict[Cell, Change]:
    known = {cell: weights_in(table, name) for cell, table in cells.items()}
    return changes_of(cells, {cell: weights for cell, weights in known.items() if weights}, paired)


def levels(changes: Mapping[Cell, Change], place: int) -> Iterator[tuple[str, Estimate, int]]:
    """Each level of a factor against its others, averaged over the blocks that have both."""
    shared = in_shared_blocks(list(changes), place)
    known = list(dict.fromkeys(str(cell[place]) for cell in shared))
    for level in known[:1] if len(known) == 2 else known:  # of two the one says it all
        weights = against_others(shared, place, level)
        mean = estimate([changes[cell] for cell in weights], list(weights.values()))
        yield level, mean, len(weights)


def in_shared_blocks(cells: Sequence[Cell], place: int) -> list[Cell]:
    """Those cells that some other one resembles in all but this factor."""
    blocks = Counter((*cell[:place], *cell[place + 1 :]) for cell in cells)
    return [cell for cell in cells if blocks[(*cell[:place], *cell[place + 1 :])] > 1]


def against_others(cells: Sequence[Cell], place: int, level: str) -> dict[Cell, float]:
    """Weights of cells: in every block the level's less the mean of the others', over all such blocks."""
    blocks: dict[Cell, list[Cell]] = {}
    for cell in cells:
        blocks.setdefault((*cell[:place], *cell[place + 1 :]), []).append(cell)
    both = [block for block in blocks.values() if level in [cell[place] for cell in block]]
    return {
        cell: (1 if cell[place] == level else -1 / (len(block) - 1)) / len(both)
        for block in both
        for cell in block
    }


def pairs(
    cells: Mapping[Cell, pd.DataFrame], paired: bool
) -> Iterator[tuple[str, str, Estimate, int]]:
    """Each pair of tricks that some cell can tell."""
    names = dict.fromkeys(t for table in cells.values() for t in tricks_in(list(table.columns)))
    for pair in itertools.combinations(names, 2):
        told = {cell: interaction(measured(table), pair) for cell, table in cells.items()}
        known = {cell: weights for cell, weights in told.items() if weights}
        changes = list(changes_of(cells, known, paired).values())
        if changes:
            yield (*pair, estimate(changes), len(changes))


def told(
    kind: str, name: str, where: str, found: Estimate, cells: int, transform: str
) -> tuple[Interaction, float]:
    """The interaction before correction, and its p."""
    ratio, low, high = (back(value, transform) for value in (found.mean, *found.interval()))
    return Interaction(kind, name, where, ratio, low, high, cells, math.nan, ""), found.p()


def corrected(found: list[tuple[Interaction, float]]) -> list[Interaction]:
    values = holm([p for _, p in found])
    return [
        replace(entry, p=p, verdict="differs" if p < 1 - LEVEL else "undecided")
        for (entry, _), p in zip(found, values, strict=True)
    ]
