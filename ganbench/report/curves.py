"""Looks: the scores of a suite's arms while they were trained, over their seeds."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .findings import name_of

FAMILY = ["data", "variant", "loss", "plan"]


@dataclass(frozen=True)
class Looks:
    """Curves of one metric: the outcome if it was looked at while training, else FID."""

    metric: str
    log: bool  # is its scale logarithmic?
    scores: pd.DataFrame  # a row a training and look
    points: pd.DataFrame  # a row an arm and look: mean, min and max over seeds

    @property
    def label(self) -> str:
        return name_of(self.metric)


def looks(frame: pd.DataFrame) -> Looks:
    """What a suite's rows hold of it, on samples that are not reported."""
    plan = frame.attrs["plan"]
    scores = frame[frame["kind"].eq("curve") & frame["role"].eq("trial") & frame["value"].notna()]
    scores.attrs = {}  # pandas copies them at every turn
    known, outcome = list(dict.fromkeys(scores["metric"])), plan["analysis"]["outcome"]
    metric = next((m for m in (outcome, "fid", *known) if m in known), outcome)
    log = plan["metrics"].get(metric, {"transform": "log"})["transform"] == "log"
    scores = scores[scores["metric"].eq(metric) & (scores["value"].gt(0) | (not log))]
    return Looks(metric, log, scores, over_seeds(scores, log))


def over_seeds(scores: pd.DataFrame, log: bool) -> pd.DataFrame:
    """The mean, on the metric's own scale, the lowest and the highest of each arm at each look."""
    level = scores["value"].astype(float)
    keys = [*FAMILY, "tricks", "images"]
    groups = scores[keys].assign(level=np.log(level) if log else level)
    told = groups.groupby(keys, dropna=False, sort=False)["level"].agg(["mean", "min", "max"])
    told = told.map(math.exp) if log else told
    return told.reset_index().sort_values("images", kind="stable")
