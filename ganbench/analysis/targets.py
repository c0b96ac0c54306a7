"""Cost to first reach a target score (time to result, Dahl et al., 2023).

The scores are those of the learning curves, which use other samples than the reported scores. The first
measured point at or beyond the target counts, without interpolation. So the reported cost was sufficient,
and too high by less than one distance between points. Later points do not matter.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ganbench.experiments.plan_names import ENDED_OUTCOMES, LOST_OUTCOMES

from .factors import NO_TRICK
from .intervals import t_interval
from .metric_scale import MetricScale, metric_scale
from .rows import ARM_COLUMNS, without_attributes

TARGET_COLUMNS = [*ARM_COLUMNS, "metric", "target", "reached", "trainings", "images", "seconds"]
TARGET_TOLERANCE = 1e-9  # the rounding error of a score that equals the target

Target = float | Mapping[str, float]


def costs_to_target(frame: pd.DataFrame, target: Target | None = None) -> pd.DataFrame:
    """Computes the images and seconds until half of a cell's trainings reached a target.

    The score is the declared outcome if a data set's curves have it, else FID. `target` is in the unit of the
    score: one value for all data sets, or a mapping by data set. It defaults to the target of the plan.

    Without any target, it is the mean final score of the trainings without tricks (geometric on a log scale).
    An arm that reaches it sooner saves the rest of the budget. About half of the trainings without tricks
    reach it too, so they can be compared. Data sets without curves or without such trainings are left out.

    A training that diverged or failed never arrives, even if it had reached the target: its budget was to be
    spent. A training that ended short of the target never arrives either. If more than half never arrive,
    there are no numbers. Trainings that were not run, or ended well without a curve, are left out.

    Returns one row per cell. Columns: the cell's names, metric, target, reached (the number of trainings that
    reached it), trainings, images (real ones shown), seconds.
    """
    plan = frame.attrs["plan"]
    declared = target if target is not None else plan["analysis"].get("target")
    is_trial = frame["role"].eq("trial") & frame["outcome"].isin(ENDED_OUTCOMES)
    trials = without_attributes(frame)[is_trial]
    entries = [
        row
        for data, part in trials.groupby("data", sort=False)
        for row in target_entries(plan, str(data), part, declared)
    ]
    return pd.DataFrame(entries, columns=TARGET_COLUMNS).astype({"images": "Int64"})


def target_entries(
    plan: Mapping[str, Any], data: str, trials: pd.DataFrame, declared: Target | None
) -> Iterator[dict[str, Any]]:
    """Yields the rows of a data set."""
    points, metric = curve_points(trials, plan["analysis"]["outcome"])
    scale = metric_scale(plan, metric)
    target = target_value(declared, data, points, scale.transform)
    if math.isnan(target):
        return
    arrived = trainings_with_arrival(trials, points).join(
        spent_at_arrival(points, target, scale), on="trial"
    )
    for cell, part in arrived.groupby(ARM_COLUMNS, dropna=False, sort=False):
        count = {"reached": int(part["images"].notna().sum()), "trainings": len(part)}
        spent = {name: median_spent(part[name]) for name in ("images", "seconds")}
        entry = {"metric": metric, "target": target, **count, **spent}
        yield dict(zip(ARM_COLUMNS, cell, strict=True)) | entry


def curve_points(trials: pd.DataFrame, outcome: str) -> tuple[pd.DataFrame, str]:
    """Returns the points of one metric's curves, in the order of measurement, and the metric."""
    points = trials[trials["kind"].eq("curve") & trials["value"].notna()]
    metric = outcome if points["metric"].eq(outcome).any() else "fid"
    return points[points["metric"] == metric].sort_values("images", kind="stable"), metric


def target_value(declared: Target | None, data: str, points: pd.DataFrame, transform: str) -> float:
    """Returns the target of a data set; NaN if there is none."""
    if isinstance(declared, Mapping):
        declared = declared.get(data)
    if declared is not None:
        return float(declared)
    none = points[points["tricks"].eq(NO_TRICK) & points["outcome"].eq("done")]
    ends = none.drop_duplicates("trial", keep="last")["value"]
    return t_interval(ends.tolist(), transform).mean


def trainings_with_arrival(trials: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per training that was lost or has a curve.

    For other trainings it is unknown if they arrive.
    """
    every = trials.drop_duplicates("trial")[["trial", "outcome", *ARM_COLUMNS]]
    return every[every["outcome"].isin(LOST_OUTCOMES) | every["trial"].isin(points["trial"])]


def spent_at_arrival(points: pd.DataFrame, target: float, scale: MetricScale) -> pd.DataFrame:
    """Returns the cost of each training until its first point at or beyond the target."""
    sign = -scale.worse_sign
    is_reached = sign * (points["value"].map(scale.to) - scale.to(target)) >= -TARGET_TOLERANCE
    first = points[is_reached & points["outcome"].eq("done")].drop_duplicates("trial")
    return first.set_index("trial")[["images", "seconds"]].astype(float)


def median_spent(spent: "pd.Series[float]") -> float:
    """Returns the median cost, the lower of two; NaN if more than half never arrive."""
    ordered = np.sort(spent.fillna(math.inf).to_numpy())
    middle = float(ordered[(len(ordered) - 1) // 2])
    return middle if math.isfinite(middle) else math.nan
