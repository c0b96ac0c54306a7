"""Lasting effects: do the effects of tricks early in a training hold at its end?

Both lists of effects come from the same trainings, so that their errors are correlated. Errors of two seeds are
independent. Covariances between seeds therefore estimate those of true effects without bias. The interval is
the jackknife's over tricks, corrected for noise as in `transfer`.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from ganbench.experiments.plan_names import LOST_OUTCOMES

from .metric_scale import metric_scale
from .rows import without_attributes
from .targets import curve_points
from .transfer import (
    MIN_EFFECTS,
    MIN_SEEDS,
    Correlation,
    Numbers,
    correct_for_noise,
    count_tricks,
    mean_between_seeds,
    paired_effects,
    tricks_of_effects,
)


def lasting_effects(frame: pd.DataFrame) -> pd.DataFrame:
    """Correlates effects at each point of the learning curves with those at the end.

    An effect is that of a list of tricks on one background, against no trick, on the scale of the outcome. The
    score is that of the learning curves, as in `targets`. The table is empty with effects of fewer
    than MIN_EFFECTS sets of tricks, and data sets without curves are left out.

    Columns: data; metric; after, the share of the training; effects, their number; correlation of the true
    effects with low and high; uncorrected; both reliabilities; turned, the share of effects whose estimate
    has the other sign at the end.
    """
    plan = frame.attrs["plan"]
    is_trial = frame["role"].eq("trial") & ~frame["outcome"].isin(LOST_OUTCOMES)
    trials = without_attributes(frame)[is_trial]
    rows = []
    for data, part in trials.groupby("data", sort=False):
        points, metric = curve_points(part, plan["analysis"]["outcome"])
        transform = metric_scale(plan, metric).transform
        for entry in correlate_points(points, str(data), transform):
            rows.append({"data": data, "metric": metric, **entry})
    return pd.DataFrame(rows)


def correlate_points(
    points: pd.DataFrame, data: str, transform: str
) -> Iterator[dict[str, object]]:
    """Yields the columns of each point of the curves before the last one."""
    numbered = points.assign(point=points.groupby("trial").cumcount() + 1)
    last = numbered["point"].max()
    tables = {point: paired_effects(part, transform) for point, part in numbered.groupby("point")}
    effects = {point: table[data] for point, table in tables.items() if data in table}
    for point, early in effects.items():
        late = effects.get(last, pd.DataFrame())
        names, seeds = (
            early.columns.intersection(late.columns),
            early.index.intersection(late.index),
        )
        if point < last and count_tricks(names) >= MIN_EFFECTS and len(seeds) >= MIN_SEEDS:
            first, second = (side.loc[seeds, names].to_numpy() for side in (early, late))
            found = compare_points(first, second, tricks_of_effects(names))
            yield {"after": point / last, "effects": len(names), **found}


def compare_points(early: Numbers, late: Numbers, tricks: Sequence[str]) -> dict[str, object]:
    """Returns the columns that compare two tables [seeds, effects] of the same trainings."""
    found = correlate_same_trainings(early, late, tricks)
    turned = float(np.mean(np.sign(early.mean(0)) != np.sign(late.mean(0))))
    return {**vars(found), "turned": turned}


def correlate_same_trainings(
    first: Numbers, second: Numbers, tricks: Sequence[str] | None = None
) -> Correlation:
    """Correlates the true effects behind two tables [seeds, effects] of the same trainings."""
    return correct_for_noise(covariance_between_seeds, first, second, tricks)


def covariance_between_seeds(first: Numbers, second: Numbers) -> float:
    seeds = len(first)
    return mean_between_seeds(np.cov(first, second)[:seeds, seeds:])
