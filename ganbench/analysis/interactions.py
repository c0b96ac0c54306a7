"""Interactions of a trick with the loss, the variant, the data set, or another trick.

The change that a trick makes at one level of a factor is compared with its change at the other levels.
The compared backgrounds are otherwise equal. The change of two tricks together is compared with the sum of
both alone. On a log scale, both interactions are ratios of ratios.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from .contrasts import (
    BACKGROUND_COLUMNS,
    Background,
    Change,
    Estimate,
    background_tables,
    estimate_contrast,
    holm_correct,
    holm_divisors,
    measured_arms,
)
from .effects import changes_by_background, names_of_effects, outcome_rows, weights_by_background
from .factors import TRICK_SEPARATOR, interaction_weights, tricks_in
from .intervals import CONFIDENCE_LEVEL
from .looks import FIXED_SEEDS, CommonSeeds, Looks
from .metric_scale import MetricScale, outcome_scale

INTERACTION_FACTORS = ("loss", "variant", "data")
LEVEL_SEPARATOR = "; "  # between names in a column


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
    others: str = ""  # the other levels of the factor, in the same blocks as `where`
    data: str = ""  # the data sets of the compared backgrounds

    @property
    def other_levels(self) -> list[str]:
        return self.others.split(LEVEL_SEPARATOR) if self.others else []

    @property
    def data_sets(self) -> list[str]:
        return self.data.split(LEVEL_SEPARATOR)


@dataclass(frozen=True)
class UncorrectedInteraction:
    """An interaction before the correction for the number of its kind."""

    kind: str
    tricks: str
    where: str
    estimate: Estimate
    backgrounds: list[Background]  # that are compared
    others: str = ""


def all_interactions(frame: pd.DataFrame) -> list[Interaction]:
    """Estimates all interactions that the grid supports, corrected within each kind."""
    plan, scale, values = frame.attrs["plan"], outcome_scale(frame), outcome_rows(frame)
    paired, looks = plan["analysis"]["paired"], Looks.of_plan(plan)
    backgrounds = dict(background_tables(values, scale.transform))
    common = CommonSeeds.of(looks, values)
    changes = {
        name: effect_by_background(backgrounds, name, paired, common)
        for name in names_of_effects(values)
    }
    families = [factor_interactions(changes, factor) for factor in INTERACTION_FACTORS]
    families.append(
        [
            UncorrectedInteraction("trick × trick", one, other, mean, compared)
            for one, other, mean, compared in pair_interactions(backgrounds, paired, common)
        ]
    )
    count = looks.count if looks else 1
    return [entry for family in families for entry in correct_interactions(family, scale, count)]


def factor_interactions(
    changes: Mapping[str, Mapping[Background, Change]], factor: str
) -> list[UncorrectedInteraction]:
    """Returns each trick's interactions with one factor."""
    place = BACKGROUND_COLUMNS.index(factor)
    return [
        UncorrectedInteraction(
            f"trick × {factor}", name, level, mean, compared, join_others(compared, place, level)
        )
        for name, by_cell in changes.items()
        for level, mean, compared in interactions_by_level(by_cell, place)
    ]


def join_others(backgrounds: Sequence[Background], place: int, level: str) -> str:
    """Returns the other levels of a factor in these backgrounds, as in a column."""
    return join_levels(each[place] for each in backgrounds if each[place] != level)


def join_levels(levels: Iterable[object]) -> str:
    return LEVEL_SEPARATOR.join(dict.fromkeys(map(str, levels)))


def effect_by_background(
    backgrounds: Mapping[Background, pd.DataFrame],
    name: str,
    paired: bool,
    common: CommonSeeds = FIXED_SEEDS,
) -> dict[Background, Change]:
    """Returns the change that a trick makes in each background that can estimate it."""
    weights = weights_by_background(backgrounds, name)
    return changes_by_background(common.select(backgrounds, name, weights), weights, paired)


def interactions_by_level(
    changes: Mapping[Background, Change], place: int
) -> Iterator[tuple[str, Estimate, list[Background]]]:
    """Yields each level of a factor against the others, averaged over blocks with both.

    A block is a set of backgrounds that differ in this factor only.
    """
    shared = backgrounds_in_shared_blocks(list(changes), place)
    names = list(dict.fromkeys(str(background[place]) for background in shared))
    for level in names[:1] if len(names) == 2 else names:  # two levels have only one contrast
        weights = weights_against_others(shared, place, level)
        mean = estimate_contrast([changes[key] for key in weights], list(weights.values()))
        yield level, mean, list(weights)


def backgrounds_in_shared_blocks(backgrounds: Sequence[Background], place: int) -> list[Background]:
    """Returns the backgrounds that differ from some other background in this factor only."""
    blocks = Counter(without_factor(background, place) for background in backgrounds)
    return [each for each in backgrounds if blocks[without_factor(each, place)] > 1]


def without_factor(background: Background, place: int) -> Background:
    """Returns the background's other factors, which name its block."""
    return (*background[:place], *background[place + 1 :])


def weights_against_others(
    backgrounds: Sequence[Background], place: int, level: str
) -> dict[Background, float]:
    """Returns weights of backgrounds that compare one level with the mean of the others.

    The comparison is made within each block and averaged over the blocks.
    """
    blocks: dict[Background, list[Background]] = {}
    for background in backgrounds:
        blocks.setdefault(without_factor(background, place), []).append(background)
    both = [block for block in blocks.values() if level in [each[place] for each in block]]
    return {
        background: (1 if background[place] == level else -1 / (len(block) - 1)) / len(both)
        for block in both
        for background in block
    }


def pair_interactions(
    backgrounds: Mapping[Background, pd.DataFrame], paired: bool, common: CommonSeeds = FIXED_SEEDS
) -> Iterator[tuple[str, str, Estimate, list[Background]]]:
    """Yields each pair of tricks with an interaction that some background can estimate."""
    columns = [list(table.columns) for table in backgrounds.values()]
    names = dict.fromkeys(trick for arms in columns for trick in tricks_in(arms))
    for pair in itertools.combinations(names, 2):
        weights = {
            key: interaction_weights(measured_arms(table), pair)
            for key, table in backgrounds.items()
        }
        estimable = {key: own for key, own in weights.items() if own}
        tables = common.select(backgrounds, TRICK_SEPARATOR.join(pair), estimable)
        changes = changes_by_background(tables, estimable, paired)
        if changes:
            yield (*pair, estimate_contrast(list(changes.values())), list(changes))


def correct_interactions(
    family: list[UncorrectedInteraction], scale: MetricScale, looks: int = 1
) -> list[Interaction]:
    """Returns the interactions with p, intervals and verdicts for their number and the looks."""
    single = [each.estimate.p() * looks for each in family]
    corrected = []
    for each, p, tests in zip(family, holm_correct(single), holm_divisors(single), strict=True):
        ends = [*each.estimate.interval(looks), *each.estimate.interval(tests * looks)]
        ratio, low, high, *adjusted = map(scale.change_of, (each.estimate.mean, *ends))
        verdict = "differs" if p < 1 - CONFIDENCE_LEVEL else "undecided"
        names = each.kind, each.tricks, each.where
        count, data = len(each.backgrounds), join_levels(key[0] for key in each.backgrounds)
        bounds = adjusted[0], adjusted[1]
        entry = Interaction(*names, ratio, low, high, count, p, verdict, *bounds, each.others, data)
        corrected.append(entry)
    return corrected
