"""Lasting effects: do the effects of tricks early in a training hold at its end?

Both lists of effects come from the same trainings, so that their errors are correlated. Errors of two seeds are
independent. Covariances between seeds therefore estimate those of true effects without bias. Fisher's (1921)
interval is corrected for noise as in `transfer`.
"""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import stats

from .contrasts import cell_tables
from .intervals import CONFIDENCE_LEVEL
from .rows import LOST_OUTCOMES
from .targets import FID_SCALE, curve_points
from .transfer import (
    MIN_EFFECTS,
    MIN_SEEDS,
    Correlation,
    Numbers,
    common_seeds,
    differences_of_cell,
    effect_reliability,
    mean_between_seeds,
)


def lasting_effects(frame: pd.DataFrame) -> pd.DataFrame:
    """Correlates effects at each point of the learning curves with those at the end.

    An effect is that of a list of tricks in one cell, against no trick, on the scale of the outcome. The
    score is that of the learning curves, as in `targets`. The table is empty with fewer than MIN_EFFECTS
    effects, and data sets without curves are left out.

    Columns: data; metric; after, the share of the training; effects, their number; correlation of the true
    effects with low and high; uncorrected; both reliabilities; turned, the share of effects whose estimate
    has the other sign at the end.
    """
    plan = frame.attrs["plan"]
    trials = frame[frame["role"].eq("trial") & ~frame["outcome"].isin(LOST_OUTCOMES)]
    trials.attrs = {}  # pandas would copy them in each operation
    rows = []
    for data, part in trials.groupby("data", sort=False):
        points, metric = curve_points(part, plan["analysis"]["outcome"])
        transform = plan["metrics"].get(metric, FID_SCALE)["transform"]
        for entry in correlate_points(points, transform):
            rows.append({"data": data, "metric": metric, **entry})
    return pd.DataFrame(rows)


def correlate_points(points: pd.DataFrame, transform: str) -> Iterator[dict[str, object]]:
    """Yields the columns of each point of the curves before the last one."""
    numbered = points.assign(point=points.groupby("trial").cumcount() + 1)
    last = numbered["point"].max()
    effects = {point: effects_at_point(part, transform) for point, part in iter_points(numbered)}
    for point, early in effects.items():
        late = effects[last]
        names, seeds = (
            early.columns.intersection(late.columns),
            early.index.intersection(late.index),
        )
        if point < last and len(names) >= MIN_EFFECTS and len(seeds) >= MIN_SEEDS:
            sides = [side.loc[seeds, names].to_numpy() for side in (early, late)]
            yield {"after": point / last, "effects": len(names), **compare_points(*sides)}


def iter_points(numbered: pd.DataFrame) -> Iterator[tuple[int, pd.DataFrame]]:
    for point in sorted(numbered["point"].unique().tolist()):
        yield point, numbered[numbered["point"].eq(point)]


def effects_at_point(points: pd.DataFrame, transform: str) -> pd.DataFrame:
    """Returns the differences to no trick at one point of the curves: [seeds, effects]."""
    parts = [
        differences
        for (_, *cell), table in cell_tables(points, transform)
        for differences in differences_of_cell(tuple(cell), table)
    ]
    return common_seeds(pd.concat(parts, axis=1)) if parts else pd.DataFrame()


def compare_points(early: Numbers, late: Numbers) -> dict[str, object]:
    """Returns the columns that compare two tables [seeds, effects] of the same trainings."""
    found = correlate_same_trainings(early, late)
    turned = float(np.mean(np.sign(early.mean(0)) != np.sign(late.mean(0))))
    return {**vars(found), "turned": turned}


def correlate_same_trainings(first: Numbers, second: Numbers) -> Correlation:
    """Correlates the true effects behind two tables [seeds, effects] of the same trainings.

    Correlations are NaN, and the interval is [-1, 1], where a reliability is 0.
    """
    reliabilities = effect_reliability(first), effect_reliability(second)
    root = math.sqrt(math.prod(reliabilities))
    if root == 0:
        return Correlation(math.nan, -1, 1, math.nan, *reliabilities)
    spread = math.sqrt(np.cov(first).mean() * np.cov(second).mean())
    seeds = len(first)
    between = mean_between_seeds(np.cov(first, second)[:seeds, seeds:])
    observed = float(np.clip(between / spread, -1, 1))
    ends = fisher_interval(observed, first.shape[1])
    value, low, high = np.clip(np.array([observed, *ends]) / root, -1, 1).tolist()
    return Correlation(value, low, high, observed, *reliabilities)


def fisher_interval(correlation: float, count: int) -> tuple[float, float]:
    """Returns Fisher's interval for the correlation of four or more pairs."""
    half = stats.norm.ppf((1 + CONFIDENCE_LEVEL) / 2) / math.sqrt(count - 3)
    centre = np.arctanh(correlation)
    return float(np.tanh(centre - half)), float(np.tanh(centre + half))
