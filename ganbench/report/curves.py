"""Learning curves: the scores of a suite's arms during training, over their seeds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ganbench.analysis.contrasts import BACKGROUND_COLUMNS
from ganbench.analysis.metric_scale import metric_scale
from ganbench.analysis.rows import without_attributes
from ganbench.evaluation.metric_names import features_of_plan, name_with_features
from ganbench.experiments.plan_names import protocols_of_run
from ganbench.registry import parse_spec

CURVE_RULES = "ganbench"  # the protocol of all curves
UNKNOWN_FEATURES = "features of the run"


@dataclass(frozen=True)
class LearningCurves:
    """Curves of one metric: the outcome if it was measured during training, else FID."""

    metric: str
    log: bool  # whether its scale is logarithmic
    scores: pd.DataFrame  # one row per training and step
    points: pd.DataFrame  # one row per arm and step: mean, min and max over seeds, medians of costs
    label: str  # the metric's name with the features of the curves
    floors: frozenset[str]  # data sets with floors of the curves' protocol


def learning_curves_of(frame: pd.DataFrame) -> LearningCurves:
    """Returns the learning curves of a suite's rows.

    Their samples differ from those of the reported values. So may their protocol: it has the run's extractor,
    the counts of the data set and ganbench's estimators.
    """
    plan = frame.attrs["plan"]
    rows = without_attributes(frame)
    scores = rows[rows["kind"].eq("curve") & rows["role"].eq("trial") & rows["value"].notna()]
    measured, outcome = list(dict.fromkeys(scores["metric"])), plan["analysis"]["outcome"]
    metric = next((m for m in (outcome, "fid", *measured) if m in measured), outcome)
    log = metric_scale(plan, metric).is_log
    scores = scores[scores["metric"].eq(metric) & (scores["value"].gt(0) | (not log))]
    return LearningCurves(
        metric,
        log,
        scores,
        aggregate_seeds(scores, log),
        label=name_of_curves(metric, plan),
        floors=data_with_floors(plan),
    )


def name_of_curves(metric: str, plan: Mapping[str, Any]) -> str:
    """Returns a metric's name with the features of the run, even if it was measured by others."""
    own = protocols_of_run(plan)
    features = features_of_plan({"protocols": own}) if own else UNKNOWN_FEATURES
    return name_with_features(metric, features)


def data_with_floors(plan: Mapping[str, Any]) -> frozenset[str]:
    """Returns the data sets whose floors were measured under the protocol of the curves."""
    rules = parse_spec(plan.get("protocol", CURVE_RULES))
    if rules.name != CURVE_RULES or set(dict(rules.settings)) - {"extractor"}:
        return frozenset()
    extractors = {p["data"]: p.get("extractor") for p in protocols_of_run(plan).values()}
    measured = {p["data"]: p.get("extractor") for p in plan["protocols"].values()}
    return frozenset(data for data, _ in measured.items() & extractors.items())


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
