"""Looks: the scores of a suite's arms while they were trained, over their seeds."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .findings import metric_display_name

FAMILY_OF_CURVES = ["data", "variant", "loss", "plan"]


@dataclass(frozen=True)
class LearningCurves:
    """Curves of one metric: the outcome if it was looked at while training, else FID."""

    metric: str
    log: bool  # is its scale logarithmic?
    scores: pd.DataFrame  # a row a training and look
    points: pd.DataFrame  # a row an arm and look: mean, min and max over seeds

    @property
    def label(self) -> str:
        return metric_display_name(self.metric)


def learning_curves_of(frame: pd.DataFrame) -> LearningCurves:
    """What a suite's rows hold of it, on samples that are not reported."""
    plan = frame.attrs["plan"]
    scores = frame[frame["kind"].eq("curve") & frame["role"].eq("trial") & frame["value"].notna()]
    scores.attrs = {}  # pandas copies them at every turn
    points, outcome = list(dict.fromkeys(scores["metric"])), plan["analysis"]["outcome"]
    metric = next((m for m in (outcome, "fid", *points) if m in points), outcome)
    log = plan["metrics"].get(metric, {"transform": "log"})["transform"] == "log"
    scores = scores[scores["metric"].eq(metric) & (scores["value"].gt(0) | (not log))]
    return LearningCurves(metric, log, scores, aggregate_seeds(scores, log))


def aggregate_seeds(scores: pd.DataFrame, log: bool) -> pd.DataFrame:
    """The mean, on the metric's own scale, the lowest and the highest of each arm at each look."""
    level = scores["value"].astype(float)
    keys = [*FAMILY_OF_CURVES, "tricks", "images"]
    groups = scores[keys].assign(level=np.log(level) if log else level)
    aggregated = groups.groupby(keys, dropna=False, sort=False)["level"].agg(["mean", "min", "max"])
    aggregated = aggregated.map(math.exp) if log else aggregated
    return aggregated.reset_index().sort_values("images", kind="stable")
