"""Interactions of a trick with the loss, the variant, the data set, or another trick.

The change that a trick makes at one level of a factor is compared with its change at the other levels.
The compared cells are otherwise equal. The change of two tricks together is compared with the sum of
both alone. On a log scale, both interactions are ratios of ratios.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import pandas as pd

from .contrasts import (
    CELL_COLUMNS,
    Cell,
    Change,
    Estimate,
    cell_tables,
    estimate_contrast,
    holm_correct,
    holm_divisors,
    measured_arms,
)
from .effects import (
    changes_by_cell,
    effect_weights,
    names_of_effects,
    outcome_rows,
)
from .factors import Weights, interaction_weights, tricks_in
from .intervals import CONFIDENCE_LEVEL, ratio_or_difference
from .looks import Looks, SeedCounts, planned_seeds
from .metric_scale import outcome_scale

INTERACTION_FACTORS = ("loss", "variant", "data")


@dataclass(frozen=True)
class Interaction:
    """The interaction of a trick with a level of a factor or with another trick.

    Without interaction the ratio is 1 on a log scale; on other scales the difference is 0.
    """

    kind: str  # trick × loss, trick × variant, trick × data, trick × trick
    tricks: str
    where: str  # a level, compared with the other levels, or the other trick
    ratio: float
    low: float
    high: float
    cells: int
    p: float  # two-sided, Holm-corrected over all interactions of its kind
    verdict: str  # differs, undecided
    adjusted_low: float = math.nan  # the interval that `verdict` follows
    adjusted_high: float = math.nan


def all_interactions(frame: pd.DataFrame) -> list[Interaction]:
    """Estimates all interactions that the grid supports, corrected within each kind."""
    plan = frame.attrs["plan"]["analysis"]
    transform = outcome_scale(frame).transform
    values = outcome_rows(frame)
    cells = dict(cell_tables(values, transform))
    common = CommonSeeds.of(frame, values)
    changes = {
        name: effect_by_cell(cells, name, plan["paired"], common)
        for name in names_of_effects(values)
    }
    families = [factor_interactions(changes, factor, transform) for factor in INTERACTION_FACTORS]
    families.append(
        [
            make_interaction(("trick × trick", one, other), mean, count, transform)
            for one, other, mean, count in pair_interactions(cells, plan["paired"], common)
        ]
    )
    looks = common.looks.count if common.looks else 1
    return [
        entry for family in families for entry in correct_interactions(family, transform, looks)
    ]


@dataclass(frozen=True)
class CommonSeeds:
    """The restriction of arms to the seeds that all of them have; none if seeds are fixed."""

    looks: Looks | None = None
    counts: SeedCounts = field(default_factory=dict)

    @classmethod
    def of(cls, frame: pd.DataFrame, values: pd.DataFrame) -> Self:
        looks = Looks.of_plan(frame.attrs["plan"])
        return cls(looks, planned_seeds(values) if looks else {})

    def select(
        self, cells: Mapping[Cell, pd.DataFrame], name: str, weights_by_cell: Mapping[Cell, Weights]
    ) -> Mapping[Cell, pd.DataFrame]:
        """Returns the tables with the seeds of all arms that these weights name."""
        if self.looks is None:
            return cells
        seeds = self.looks.common_seeds(name, weights_by_cell, self.counts)
        return {cell: table[table.index < seeds] for cell, table in cells.items()}


FIXED_SEEDS = CommonSeeds()


def factor_interactions(
    changes: Mapping[str, Mapping[Cell, Change]], factor: str, transform: str
) -> list[tuple[Interaction, Estimate]]:
    """Returns each trick's interactions with one factor, and their estimates."""
    place = CELL_COLUMNS.index(factor)
    return [
        make_interaction((f"trick × {factor}", name, level), mean, count, transform)
        for name, by_cell in changes.items()
        for level, mean, count in interactions_by_level(by_cell, place)
    ]


def effect_by_cell(
    cells: Mapping[Cell, pd.DataFrame],
    name: str,
    paired: bool,
    common: CommonSeeds = FIXED_SEEDS,
) -> dict[Cell, Change]:
    weights = {cell: effect_weights(table, name) for cell, table in cells.items()}
    estimable = {cell: own for cell, own in weights.items() if own}
    return changes_by_cell(common.select(cells, name, estimable), estimable, paired)


def interactions_by_level(
    changes: Mapping[Cell, Change], place: int
) -> Iterator[tuple[str, Estimate, int]]:
    """Yields each level of a factor against the others, averaged over blocks with both.

    A block is a set of cells that differ in this factor only.
    """
    shared = cells_in_shared_blocks(list(changes), place)
    names = list(dict.fromkeys(str(cell[place]) for cell in shared))
    for level in names[:1] if len(names) == 2 else names:  # two levels have only one contrast
        weights = weights_against_others(shared, place, level)
        mean = estimate_contrast([changes[cell] for cell in weights], list(weights.values()))
        yield level, mean, len(weights)


def cells_in_shared_blocks(cells: Sequence[Cell], place: int) -> list[Cell]:
    """Returns the cells that differ from some other cell in this factor only."""
    blocks = Counter((*cell[:place], *cell[place + 1 :]) for cell in cells)
    return [cell for cell in cells if blocks[(*cell[:place], *cell[place + 1 :])] > 1]


def weights_against_others(cells: Sequence[Cell], place: int, level: str) -> dict[Cell, float]:
    """Returns weights of cells that compare one level with the mean of the others.

    The comparison is made within each block and averaged over the blocks.
    """
    blocks: dict[Cell, list[Cell]] = {}
    for cell in cells:
        blocks.setdefault((*cell[:place], *cell[place + 1 :]), []).append(cell)
    both = [block for block in blocks.values() if level in [cell[place] for cell in block]]
    return {
        cell: (1 if cell[place] == level else -1 / (len(block) - 1)) / len(both)
        for block in both
        for cell in block
    }


def pair_interactions(
    cells: Mapping[Cell, pd.DataFrame], paired: bool, common: CommonSeeds = FIXED_SEEDS
) -> Iterator[tuple[str, str, Estimate, int]]:
    """Yields each pair of tricks with an interaction that some cell can estimate."""
    columns = [list(table.columns) for table in cells.values()]
    names = dict.fromkeys(trick for arms in columns for trick in tricks_in(arms))
    for pair in itertools.combinations(names, 2):
        weights_by_cell = {
            cell: interaction_weights(measured_arms(table), pair) for cell, table in cells.items()
        }
        estimable = {cell: weights for cell, weights in weights_by_cell.items() if weights}
        tables = common.select(cells, " + ".join(pair), estimable)
        changes = list(changes_by_cell(tables, estimable, paired).values())
        if changes:
            yield (*pair, estimate_contrast(changes), len(changes))


def make_interaction(
    labels: tuple[str, str, str], estimate: Estimate, cells: int, transform: str
) -> tuple[Interaction, Estimate]:
    """Returns an interaction with these labels before correction, and its estimate."""
    kind, tricks, where = labels
    low, high = estimate.interval()
    interaction = Interaction(
        kind=kind,
        tricks=tricks,
        where=where,
        ratio=ratio_or_difference(estimate.mean, transform),
        low=ratio_or_difference(low, transform),
        high=ratio_or_difference(high, transform),
        cells=cells,
        p=math.nan,
        verdict="",
    )
    return interaction, estimate


def correct_interactions(
    family: list[tuple[Interaction, Estimate]], transform: str, looks: int = 1
) -> list[Interaction]:
    """Returns the interactions with p, interval and verdict for their number and the looks."""
    single = [estimate.p() * looks for _, estimate in family]
    corrected = []
    for (entry, estimate), p, tests in zip(
        family, holm_correct(single), holm_divisors(single), strict=True
    ):
        low, high = (
            ratio_or_difference(end, transform) for end in estimate.interval(tests * looks)
        )
        single_low, single_high = (
            ratio_or_difference(end, transform) for end in estimate.interval(looks)
        )
        verdict = "differs" if p < 1 - CONFIDENCE_LEVEL else "undecided"
        corrected.append(
            replace(
                entry,
                low=single_low,
                high=single_high,
                p=p,
                verdict=verdict,
                adjusted_low=low,
                adjusted_high=high,
            )
        )
    return corrected
