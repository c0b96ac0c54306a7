"""Targets: how much training it takes to first reach a score (time to result, Dahl et al., 2023).

From the learning curves, whose samples are not those of reported scores. The first point at or
beyond the target counts, as it was measured: nothing is interpolated, so that the reported cost was
enough, and by less than one distance of points too much. What comes after the first point does not
matter.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from .intervals import SCALES, t_interval
from .rows import ARM_COLUMNS, LOST_OUTCOMES

TARGET_COLUMNS = [*ARM_COLUMNS, "metric", "target", "reached", "trainings", "images", "seconds"]
FID_SCALE = {
    "direction": "lower",
    "transform": "log",
}  # on every curve, also where no plan asks for it
TARGET_TOLERANCE = 1e-9  # what rounding may take from a score that is the target

Target = float | Mapping[str, float]


def costs_to_target(frame: pd.DataFrame, target: Target | None = None) -> pd.DataFrame:
    """A row a cell: the images and seconds of training by which half of its trainings got there.

    The score is the declared outcome where a data set's curves have it, and FID elsewhere. `target`
    is in its unit, one for all or one a data set; if not given, the plan's. If that has none, it is
    what the whole budget buys without tricks: the mean (geometric, on a log scale) of where the
    trainings without tricks ended. An arm that gets there sooner saves what is left of the budget,
    and as about half of the trainings without tricks get there too, they can be compared. Data sets
    without curves or without such trainings are left out.

    A training that diverged or failed counts as one that never arrives, whatever it had reached:
    its budget was to be spent. So does one that ended short of the target. Where they are more than
    half, there are no numbers. What was not run, or ended well without a curve, is left out.

    Columns: the cell's names, metric, target, reached (by how many of the trainings), trainings,
    images (real ones shown), seconds.
    """
    plan = frame.attrs["plan"]
    declared = target if target is not None else plan["analysis"].get("target")
    trials = frame[frame["role"].eq("trial") & frame["outcome"].isin(["done", *LOST_OUTCOMES])]
    trials.attrs = {}  # pandas copies them at every turn
    entries = [
        row
        for data, part in trials.groupby("data", sort=False)
        for row in target_entries(plan, str(data), part, declared)
    ]
    return pd.DataFrame(entries, columns=TARGET_COLUMNS).astype({"images": "Int64"})


def target_entries(
    plan: Mapping[str, Any], data: str, trials: pd.DataFrame, declared: Target | None
) -> Iterator[dict[str, Any]]:
    """The rows of a data set."""
    points, metric = curve_points(trials, plan["analysis"]["outcome"])
    facts = plan["metrics"].get(metric, FID_SCALE)
    target = target_value(declared, data, points, facts["transform"])
    if math.isnan(target):
        return
    arrived = trainings_with_arrival(trials, points).join(
        spent_at_arrival(points, target, facts), on="trial"
    )
    for cell, part in arrived.groupby(ARM_COLUMNS, dropna=False, sort=False):
        count = {"reached": int(part["images"].notna().sum()), "trainings": len(part)}
        spent = {name: median_spent(part[name]) for name in ("images", "seconds")}
        entry = {"metric": metric, "target": target, **count, **spent}
        yield dict(zip(ARM_COLUMNS, cell, strict=True)) | entry


def curve_points(trials: pd.DataFrame, outcome: str) -> tuple[pd.DataFrame, str]:
    """The points of the curves of one metric, in the order in which they were measured."""
    points = trials[trials["kind"].eq("curve") & trials["value"].notna()]
    metric = outcome if points["metric"].eq(outcome).any() else "fid"
    return points[points["metric"] == metric].sort_values("images", kind="stable"), metric


def target_value(declared: Target | None, data: str, points: pd.DataFrame, transform: str) -> float:
    """The target of a data set; NaN if nothing says one."""
    if isinstance(declared, Mapping):
        declared = declared.get(data)
    if declared is not None:
        return float(declared)
    none = points[points["tricks"].eq("none") & points["outcome"].eq("done")]
    ends = none.drop_duplicates("trial", keep="last")["value"]
    return t_interval(ends.tolist(), transform).mean


def trainings_with_arrival(trials: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
    """One row per training that is lost or has a curve, which decides whether it arrives."""
    every = trials.drop_duplicates("trial")[["trial", "outcome", *ARM_COLUMNS]]
    return every[every["outcome"].isin(LOST_OUTCOMES) | every["trial"].isin(points["trial"])]


def spent_at_arrival(points: pd.DataFrame, target: float, facts: Mapping[str, str]) -> pd.DataFrame:
    """What had been spent at the first point at or beyond the target, by training."""
    to, sign = SCALES[facts["transform"]].to, -1 if facts["direction"] == "lower" else 1
    is_reached = sign * (points["value"].map(to) - to(target)) >= -TARGET_TOLERANCE
    first = points[is_reached & points["outcome"].eq("done")].drop_duplicates("trial")
    return first.set_index("trial")[["images", "seconds"]].astype(float)


def median_spent(spent: "pd.Series[float]") -> float:
    """What the middle one had spent, the lower of two; NaN if more than half never arrive."""
    ordered = np.sort(spent.fillna(math.inf).to_numpy())
    middle = float(ordered[(len(ordered) - 1) // 2])
    return middle if math.isfinite(middle) else math.nan
