"""Comparisons of a grid's variants, and of its losses (Welch, 1947; Holm, 1979).

Two variants, or two losses, are compared in blocks: cells that are equal in all else. Losses of one
variant share initial weights at a seed, so they are compared seed by seed if the suite declares pairs.
Variants are networks of their own, and their seeds are independent.
"""

import itertools
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from ganbench.experiments.plan_names import LOST_OUTCOMES

from .contrasts import (
    BACKGROUND_COLUMNS,
    NETWORK_COLUMNS,
    Change,
    Estimate,
    contrast_on_background,
    estimate_contrast,
    holm_correct,
    holm_divisors,
)
from .effects import ended_outcomes, outcome_rows
from .intervals import CONFIDENCE_LEVEL
from .looks import Looks
from .metric_scale import MetricScale, outcome_scale

FACTORS = ("variant", "loss")
BLOCK_COLUMNS = [*BACKGROUND_COLUMNS, "tricks"]
OWN_SETTINGS = ["loss", "plan"]  # that a variant may bring along
LEVEL_COLUMNS = (
    "factor one other change low high adjusted_low adjusted_high p verdict cells "
    "trainings_of_one trainings_of_other lost_of_one lost_of_other"
)


@dataclass(frozen=True)
class Block:
    """Cells that are equal but for the factor: a row for each seed, a column for each level."""

    network: Hashable  # blocks that share initial weights have the same
    values: pd.DataFrame  # transformed; NaN for lost trainings
    lost: pd.DataFrame  # whether a training was lost

    @cached_property
    def measured(self) -> frozenset[str]:
        """The levels that have a value."""
        return frozenset(self.values.columns[self.values.notna().any()])


@dataclass(frozen=True)
class LevelComparison:
    """The change of the outcome from the level `other` to the level `one`."""

    factor: str
    one: str
    other: str
    estimate: Estimate
    blocks: list[Block]

    def counts(self) -> tuple[int, ...]:
        """Returns the measured trainings of both levels, then the lost ones."""
        levels = (self.one, self.other)
        measured = [sum(int(b.values[x].notna().sum()) for b in self.blocks) for x in levels]
        lost = [sum(int(b.lost[x].sum()) for b in self.blocks) for x in levels]
        return (*measured, *lost)


def level_comparisons(frame: pd.DataFrame) -> pd.DataFrame:
    """Compares each pair of variants, and each pair of losses, with one row per pair.

    Columns:

    - factor (variant or loss); one and other, its compared levels;
    - change, the outcome's ratio of one to other, averaged over blocks, with its 95 % interval from low
      to high. If the scale of the metric is not logarithmic, it is a difference;
    - adjusted_low and adjusted_high, the interval at the level of Holm's test over all pairs of the factor;
    - p, two-sided and corrected by Holm; verdict: better, worse or undecided, of one against other;
    - cells of each level, one in each block; trainings_of_one and trainings_of_other, and those lost without a value.

    The table is empty if seeds are adaptive, because their number depends on the results.
    """
    entries: list[tuple[Any, ...]] = []
    if Looks.of_plan(frame.attrs["plan"]) is None:
        for factor in FACTORS:
            entries += describe_family(list(compare_levels(frame, factor)), outcome_scale(frame))
    return pd.DataFrame(entries, columns=LEVEL_COLUMNS.split())


def compare_levels(frame: pd.DataFrame, factor: str) -> Iterator[LevelComparison]:
    """Yields the comparison of each pair of levels that have a common block."""
    rows = ended_outcomes(outcome_rows(frame), outcome_scale(frame))
    rows = rows.assign(lost=rows["outcome"].isin(LOST_OUTCOMES))
    paired = factor == "loss" and frame.attrs["plan"]["analysis"]["paired"]
    equal, own = blocks_of(rows, factor), blocks_of_own_settings(rows, factor)
    for one, other in itertools.combinations(rows[factor].unique(), 2):
        shared = [b for b in equal if {one, other} <= b.measured]
        shared = shared or [b for b in own if {one, other} <= b.measured]
        changes = [change for b in shared if (change := change_between(b, one, other, paired))]
        if changes:
            yield LevelComparison(factor, one, other, estimate_contrast(changes), shared)


def blocks_of(rows: pd.DataFrame, factor: str) -> list[Block]:
    """Returns the blocks of cells that are equal in all but the factor."""
    return group_blocks(rows, factor, [name for name in BLOCK_COLUMNS if name != factor])


def blocks_of_own_settings(rows: pd.DataFrame, factor: str) -> list[Block]:
    """Returns the blocks in which each variant has a single loss and plan."""
    if factor != "variant":
        return []
    groups = rows.groupby(["data", "tricks", "variant"])[OWN_SETTINGS]
    is_single = groups.transform("nunique", dropna=False).eq(1).all(axis="columns")
    return group_blocks(rows[is_single], factor, ["data", "tricks"])


def group_blocks(rows: pd.DataFrame, factor: str, equal: list[Any]) -> list[Block]:
    """Returns the groups of equal trainings that have several levels of the factor."""
    several = rows[rows.groupby(equal, dropna=False)[factor].transform("nunique") > 1]
    index = [*equal, "seed"]
    values = several.pivot(index=index, columns=factor, values="transformed")
    lost = several.pivot(index=index, columns=factor, values="lost").eq(other=True)
    blocks = []
    for key, part in values.groupby(level=equal, dropna=False, sort=False):
        names = dict(zip(equal, key, strict=True))
        network = tuple(names[name] for name in NETWORK_COLUMNS if name in names)
        tables = (table.droplevel(equal) for table in (part, lost.loc[part.index]))
        blocks.append(Block(network, *tables))
    return blocks


def change_between(block: Block, one: str, other: str, paired: bool) -> Change | None:
    weights = {one: 1.0, other: -1.0}
    return contrast_on_background(block.values, weights, paired, block.network)


def describe_family(found: list[LevelComparison], scale: MetricScale) -> list[tuple[Any, ...]]:
    """Returns the rows of comparisons that are corrected for their number."""
    single = [each.estimate.p() for each in found]
    corrected = zip(holm_correct(single), holm_divisors(single), strict=True)
    return [
        describe_comparison(each, p, tests, scale)
        for each, (p, tests) in zip(found, corrected, strict=True)
    ]


def describe_comparison(
    each: LevelComparison, p: float, tests: int, scale: MetricScale
) -> tuple[Any, ...]:
    ends = [*each.estimate.interval(), *each.estimate.interval(tests)]
    change, *bounds = [scale.change_of(x) for x in (each.estimate.mean, *ends)]
    verdict = verdict_of_change(change, p, scale)
    names = (each.factor, each.one, each.other)
    return (*names, change, *bounds, p, verdict, len(each.blocks), *each.counts())


def verdict_of_change(change: float, p: float, scale: MetricScale) -> str:
    if not p < 1 - CONFIDENCE_LEVEL:
        return "undecided"
    return "better" if scale.is_improvement(change) else "worse"
