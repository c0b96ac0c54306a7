"""Learning curves: the scores of a suite's arms during training, over their seeds."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ganbench.analysis.contrasts import BACKGROUND_COLUMNS
from ganbench.analysis.metric_scale import metric_scale
from ganbench.analysis.rows import without_attributes
from ganbench.evaluation.metric_names import metric_display_name


@dataclass(frozen=True)
class LearningCurves:
    """Curves of one metric: the outcome if it was measured during training, else FID."""

    metric: str
    log: bool  # whether its scale is logarithmic
    scores: pd.DataFrame  # one row per training and step
    points: pd.DataFrame  # one row per arm and step: mean, min and max over seeds, medians of costs
    label: str  # the metric's name with its features


def learning_curves_of(frame: pd.DataFrame) -> LearningCurves:
    """Returns the learning curves of a suite's rows.

    Their samples differ from those of the reported values.
    """
    plan = frame.attrs["plan"]
    rows = without_attributes(frame)
    scores = rows[rows["kind"].eq("curve") & rows["role"].eq("trial") & rows["value"].notna()]
    measured, outcome = list(dict.fromkeys(scores["metric"])), plan["analysis"]["outcome"]
    metric = next((m for m in (outcome, "fid", *measured) if m in measured), outcome)
    log = metric_scale(plan, metric).is_log
    scores = scores[scores["metric"].eq(metric) & (scores["value"].gt(0) | (not log))]
    return LearningCurves(
        metric, log, scores, aggregate_seeds(scores, log), metric_display_name(metric, plan)
    )


def aggregate_seeds(scores: pd.DataFrame, log: bool) -> pd.DataFrame:
    """Computes the mean, on the metric's own scale, and the range of each arm at each step."""
    level = scores["value"].astype(float)
    keys = [*BACKGROUND_COLUMNS, "tricks", "images"]
    spent = scores[["step", "seconds"]].astype(float)
    table = scores[keys].assign(level=np.log(level) if log else level, **spent)
    groups = table.groupby(keys, dropna=False, sort=False)
    aggregated = groups["level"].agg(["mean", "min", "max"])
    aggregated = aggregated.map(math.exp) if log else aggregated
    aggregated = aggregated.assign(
        steps=groups["step"].median(), seconds=groups["seconds"].median()
    )
    return aggregated.reset_index().sort_values("images", kind="stable")
