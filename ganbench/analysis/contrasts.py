"""Contrasts: weighted sums of arms within each cell, and their mean over cells, with honest errors.

Cells are those of the grid, not a sample of all cells: the error of a contrast comes from the seeds
within each cell, with the freedom of Welch (1947) and Satterthwaite (1946).
"""

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

from .intervals import CONFIDENCE_LEVEL, SCALES

CELL_COLUMNS = ["data", "variant", "loss", "plan"]
TEST_POWER = 0.8  # with which an effect of the smallest size would have been detected

Cell = tuple[Hashable, ...]


@dataclass(frozen=True)
class Change:
    """One cell's contrast, its squared error where seeds allow one, and that error's freedom."""

    mean: float
    variance: float
    freedom: float
    seeds: int


@dataclass(frozen=True)
class Estimate:
    """A contrast over cells, on the transformed scale; no error where seeds allow none."""

    mean: float
    error: float
    freedom: float

    def interval(self) -> tuple[float, float]:
        half = float(stats.t.ppf((1 + CONFIDENCE_LEVEL) / 2, self.freedom)) * self.error
        return self.mean - half, self.mean + half

    def p(self) -> float:
        """Two-sided, of no change."""
        return 2 * float(stats.t.sf(abs(self.mean) / self.error, self.freedom))

    def smallest_detectable(self, family: int) -> float:
        """The least true change that a t test would have shown with TEST_POWER, corrected for its family."""
        if not self.error > 0:
            return math.nan
        bound = float(stats.t.ppf(1 - (1 - CONFIDENCE_LEVEL) / (2 * family), self.freedom))

        def short(size: float) -> float:
            return float(stats.nct.sf(bound, self.freedom, size)) - TEST_POWER

        return self.error * float(optimize.brentq(short, 0, 20 * bound))


def cell_tables(values: pd.DataFrame, transform: str) -> Iterator[tuple[Cell, pd.DataFrame]]:
    """Each cell's outcomes on the transformed scale: a row a seed, a column an arm, NaN where missing.

    Arms that do not apply are not there, nor those that were measured in none of the cells.
    """
    tried = values["tricks"].isin(values.loc[values["value"].notna(), "tricks"])
    applicable = values[tried & values["outcome"].ne("not_applicable")]
    applicable = applicable.assign(
        y=applicable["value"].map(SCALES[transform].to, na_action="ignore")
    )
    for cell, part in applicable.groupby(CELL_COLUMNS, dropna=False, sort=False):
        assert isinstance(cell, tuple)
        yield cell, part.pivot(index="seed", columns="tricks", values="y")


def measured_arms(table: pd.DataFrame) -> tuple[str, ...]:
    """The arms of a cell that have an outcome."""
    has_values = ~np.isnan(table.to_numpy()).all(axis=0)
    return tuple(
        arm for arm, is_measured in zip(table.columns, has_values, strict=True) if is_measured
    )


def contrast_within_cell(
    table: pd.DataFrame, weights: Mapping[str, float], paired: bool
) -> Change | None:
    """The contrast in one cell: of the seeds that all arms have, or of each arm's own; None of none."""
    arms, factors = arm_columns(table, weights), np.array(list(weights.values()))
    if paired:
        return mean_change_of(arms[~np.isnan(arms).any(1)] @ factors)
    parts = [
        mean_change_of(w * arm[~np.isnan(arm)]) for w, arm in zip(factors, arms.T, strict=True)
    ]
    return sum_changes([part for part in parts if part], len(parts))


def arm_columns(table: pd.DataFrame, arms: Iterable[str]) -> np.ndarray:
    """Those of these arms; many times as fast as pandas, which is called for every trick and cell."""
    names = table.columns.tolist()
    return table.to_numpy()[:, [names.index(arm) for arm in arms]]


def mean_change_of(values: np.ndarray) -> Change | None:
    """The mean of independent values."""
    count = len(values)
    if count == 0:
        return None
    variance = float(values.var(ddof=1)) / count if count > 1 else math.nan
    return Change(float(values.mean()), variance, count - 1, count)


def sum_changes(parts: list[Change], wanted: int) -> Change | None:
    """The sum of independent changes; None if some are missing."""
    if len(parts) < wanted:
        return None
    mean, seeds = sum(part.mean for part in parts), min(part.seeds for part in parts)
    variance = sum(part.variance for part in parts)
    freedom = satterthwaite_freedom(
        [part.variance for part in parts], [part.freedom for part in parts]
    )
    return Change(mean, variance, freedom, seeds)


def satterthwaite_freedom(variances: Sequence[float], freedoms: Sequence[float]) -> float:
    """The freedom of a sum of independent squared errors."""
    if not sum(variances) > 0:
        return min(freedoms)
    terms = [v**2 / f for v, f in zip(variances, freedoms, strict=True) if v > 0]
    return float(sum(variances) ** 2 / sum(terms))


def estimate_contrast(
    changes: Sequence[Change], weights: Sequence[float] | None = None
) -> Estimate:
    """The weighted sum of cells' changes; their mean, unless weights are given.

    A cell with a single pair borrows the others' mean variance; without any, there is no error.
    """
    if not changes:
        return Estimate(math.nan, math.nan, math.nan)
    factors = [1 / len(changes)] * len(changes) if weights is None else list(weights)
    mean = sum(w * c.mean for w, c in zip(factors, changes, strict=True))
    estimable = [(w, c) for w, c in zip(factors, changes, strict=True) if c.freedom > 0]
    # What the estimated variances count for, in the sum and so in its freedom: borrowing adds none.
    borrowed = sum(w**2 / c.seeds for w, c in zip(factors, changes, strict=True) if c.freedom <= 0)
    parts = [(w**2 + borrowed * c.seeds / len(estimable)) * c.variance for w, c in estimable]
    if not estimable or not sum(parts) > 0:
        return Estimate(mean, math.nan, math.nan)
    freedom = satterthwaite_freedom(parts, [c.freedom for _, c in estimable])
    return Estimate(mean, math.sqrt(sum(parts)), freedom)


def holm_correct(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979); what has no p keeps none."""
    ordered = sorted((value, i) for i, value in enumerate(p) if not math.isnan(value))
    corrected, least = [math.nan] * len(p), 0.0
    for rank, (value, i) in enumerate(ordered):
        least = max(least, min(1.0, (len(ordered) - rank) * value))
        corrected[i] = least
    return corrected


def arm_difference(trick: np.ndarray, none: np.ndarray, paired: bool) -> Change:
    """The difference of two arms over their seeds, on the transformed scale."""
    table = pd.DataFrame({"trick": pd.Series(trick), "none": pd.Series(none)})
    difference = contrast_within_cell(table, {"trick": 1.0, "none": -1.0}, paired)
    assert difference
    return difference


def combine_changes(changes: Sequence[Change]) -> tuple[float, float, float, float]:
    """Mean over cells, interval and two-sided p of no change."""
    contrast = estimate_contrast(changes)
    return (contrast.mean, *contrast.interval(), contrast.p())
