"""Effects: what each trick changes against the same cell and seed without it, and how surely.

A trick that was tried on several backgrounds, as in a factorial design, has its mean over these; one
that was only tried together with others is told together with them, against none.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from .contrasts import (
    CELL,
    Cell,
    Change,
    Estimate,
    columns,
    estimate,
    holm,
    measured,
    tables,
    within,
)
from .factors import NONE, Weights, main_effect, parts
from .intervals import LEVEL, SCALES
from .rows import unmixed


@dataclass(frozen=True)
class Effect:
    """One trick against none. On a log scale `ratio` is that of the outcome, below 1 where it falls."""

    tricks: str
    ratio: float  # or the difference, where the metric's scale is not logarithmic
    low: float
    high: float
    pairs: int  # seeds of cells in which it was compared
    cells: int
    lost: int  # trainings with it that diverged or failed, where none did not
    p: float  # two-sided, Holm-corrected over all effects of its family
    verdict: str  # helps, harms, equivalent, undecided
    variant: str = ""  # the one that it is about, or all
    loss: str = ""  # likewise
    smallest: float = math.nan  # the least ratio (above 1) or difference that would have been shown
    correlation: float = math.nan  # between the arms of a pair; pairing pays where it is high


def effects(frame: pd.DataFrame) -> list[Effect]:
    """Every trick against none, over the cells that tell.

    The cells are those of the grid, not a sample of all cells: the error comes from the seeds within
    each, by the pairing that the suite declared, and the interval says nothing about other cells.
    """
    return _family(frame, {(): outcomes(frame)}, ())


def chain_effects(frame: pd.DataFrame) -> list[Effect]:
    """Every chain of several tricks as it is, against none; a family of its own."""
    return _family(frame, {(): outcomes(frame)}, (), chains_of)


def effects_by_variant(frame: pd.DataFrame) -> list[Effect]:
    """The same within each variant, as a family of its own; nothing if there is only one."""
    return effects_by(frame, "variant")


def effects_by_loss(frame: pd.DataFrame) -> list[Effect]:
    """The same within each loss, as a family of its own; nothing if there is only one."""
    return effects_by(frame, "loss")


def effects_by(frame: pd.DataFrame, *axes: str) -> list[Effect]:
    """The same within each combination of these columns; nothing if there is only one."""
    groups = outcomes(frame).groupby(list(axes), sort=False)
    found = {key if isinstance(key, tuple) else (key,): part for key, part in groups}
    return _family(frame, found, axes) if len(found) > 1 else []


def _family(
    frame: pd.DataFrame,
    groups: Mapping[Cell, pd.DataFrame],
    axes: tuple[str, ...],
    names: Callable[[pd.DataFrame], list[str]] | None = None,
) -> list[Effect]:
    """Every name in every group, corrected together."""
    plan = frame.attrs["plan"]["analysis"]
    facts = frame.attrs["plan"]["metrics"][plan["outcome"]]
    raw = [
        (placed(effect, dict(zip(axes, key, strict=True))), found)
        for key, values in groups.items()
        for effect, found in compared(
            values, (names or names_of)(values), facts["transform"], plan["paired"]
        )
    ]
    corrected = holm([found.p() for _, found in raw])
    family = max(1, sum(not math.isnan(p) for p in corrected))
    return [
        judged(effect, found, p, family, plan["equivalence"], facts)
        for (effect, found), p in zip(raw, corrected, strict=True)
    ]


def placed(effect: Effect, group: dict[str, Any]) -> Effect:
    """The effect with the group that it is about."""
    return replace(effect, **group)


def outcomes(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that are compared: the declared outcome of trials, at the last checkpoint."""
    outcome = unmixed(frame).attrs["plan"]["analysis"]["outcome"]
    chosen = (frame["role"] == "trial") & (frame["checkpoint"] == "last")
    found = frame[chosen & (frame["metric"] == outcome)]
    found.attrs = {}  # pandas copies them at every turn
    return found


def compared(
    values: pd.DataFrame, names: list[str], transform: str, paired: bool
) -> list[tuple[Effect, Estimate]]:
    """Each name's effect before it is judged, and the estimate behind it."""
    cells = dict(tables(values, transform))
    found = []
    for name in names:
        told = {cell: weights_in(table, name) for cell, table in cells.items()}
        known = {cell: weights for cell, weights in told.items() if weights}
        changes = changes_of(cells, known, paired)
        mean = estimate(list(changes.values()))
        low, high = mean.interval()
        effect = Effect(
            name,
            back(mean.mean, transform),
            back(low, transform),
            back(high, transform),
            pairs=sum(change.seeds for change in changes.values()),
            cells=len(changes),
            lost=lost(values, name),
            p=math.nan,
            verdict="",
            correlation=correlation(cells, known) if paired else math.nan,
        )
        found.append((effect, mean))
    return found


def back(value: float, transform: str) -> float:
    """A change as a ratio where the scale is logarithmic, else as it is."""
    return SCALES[transform].back(value) if transform == "log" else value


def names_of(values: pd.DataFrame) -> list[str]:
    """What effects are told of: tricks that some cell can tell by themselves, and the other chains."""
    applicable = values[values["outcome"] != "not_applicable"]
    chains = [name for name in applicable["tricks"].unique() if name != NONE]
    arms = [part["tricks"].unique() for _, part in applicable.groupby(CELL, dropna=False)]
    tricks = dict.fromkeys(trick for chain in chains for trick in chain.split(" + "))
    single = {t for t in tricks if any(main_effect(tuple(a), t) for a in arms)}
    jointly = [chain for chain in chains if not parts(chain) <= single]
    return list(dict.fromkeys(t for t in [*tricks, *jointly] if t in single or t in jointly))


def chains_of(values: pd.DataFrame) -> list[str]:
    """The chains of several tricks."""
    applicable = values[values["outcome"] != "not_applicable"]
    return [name for name in applicable["tricks"].unique() if len(parts(name)) > 1]


def weights_in(table: pd.DataFrame, name: str) -> Weights | None:
    """Weights of a cell's arms that tell an effect: a trick's main effect, or a chain against none."""
    there = measured(table)
    if len(parts(name)) == 1:
        return main_effect(tuple(table.columns), name, there)
    return {name: 1.0, NONE: -1.0} if {name, NONE} <= set(there) else None


def changes_of(
    cells: Mapping[Cell, pd.DataFrame], known: Mapping[Cell, Weights], paired: bool
) -> dict[Cell, Change]:
    """Each cell's change, of the cells that have one."""
    found = {cell: within(cells[cell], weights, paired) for cell, weights in known.items()}
    return {cell: change for cell, change in found.items() if change}


def lost(values: pd.DataFrame, name: str) -> int:
    """Trainings with these tricks that diverged or failed, in a cell and seed where none was measured."""
    place = values.groupby([*CELL, "seed"], dropna=False).ngroup()
    fine = place[values["tricks"].eq(NONE) & values["value"].notna()]
    with_it = values["tricks"].map(lambda arm: parts(name) <= parts(arm))
    badly = with_it & values["outcome"].isin(["diverged", "failed"])
    return int(place[badly].isin(fine).sum())


def correlation(cells: Mapping[Cell, pd.DataFrame], known: Mapping[Cell, Weights]) -> float:
    """Between what is compared, over seeds within cells: pooled after each cell's mean is taken off.

    NaN where the seeds leave less than a freedom of two: any two points are in line.
    """
    sides, freedom = [np.zeros((0, 2))], 0
    for cell, weights in known.items():
        table, factors = columns(cells[cell], weights), np.array(list(weights.values()))
        table = table[~np.isnan(table).any(1)]
        both = np.stack([table @ factors.clip(min=0), table @ -factors.clip(max=0)], 1)
        sides.append(both - both.mean(0) if len(both) else both)
        freedom += max(0, len(both) - 1)
    x, y = np.concatenate(sides).T
    scale = math.sqrt(float((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale > 0 and freedom > 1 else math.nan


def judged(
    effect: Effect, found: Estimate, p: float, family: int, margin: float, facts: dict[str, str]
) -> Effect:
    """The effect with its corrected p and what may be said of it, no stronger than its interval."""
    inside = 1 - margin < effect.low and effect.high < 1 / (1 - margin)
    verdict = "undecided"
    if facts["transform"] == "log" and inside:
        verdict = "equivalent"
    elif p < 1 - LEVEL:
        falls = effect.ratio < (1 if facts["transform"] == "log" else 0)
        verdict = "helps" if falls == (facts["direction"] == "lower") else "harms"
    smallest = back(found.smallest(family), facts["transform"])
    return replace(effect, p=p, verdict=verdict, smallest=smallest)
