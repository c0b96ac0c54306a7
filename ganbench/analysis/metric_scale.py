"""The scale of a metric: its better direction, the transform of its means, and its unit."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ganbench.counts import format_signed

from .intervals import SCALES, is_improvement, ratio_or_difference


@dataclass(frozen=True)
class MetricScale:
    """How values of a metric are averaged and compared, as its suite declares it."""

    direction: str  # the better one, `lower` or `higher`
    transform: str  # of values before their mean, a key of SCALES
    unit: str = ""

    @property
    def is_log(self) -> bool:
        """Returns whether changes are ratios and means are geometric."""
        return self.transform == "log"

    @property
    def is_lower_better(self) -> bool:
        return self.direction == "lower"

    @property
    def no_change(self) -> float:
        """Returns the change of equal means: a ratio of 1, or a difference of 0."""
        return self.change_of(0.0)

    def to(self, value: float) -> float:
        """Transforms a value of the metric."""
        return SCALES[self.transform].to(value)

    def back(self, transformed: float) -> float:
        """Returns the value of the metric that was transformed."""
        return SCALES[self.transform].back(transformed)

    def change_of(self, difference: float) -> float:
        """Returns a difference of transformed means as a ratio if they are logarithms."""
        return ratio_or_difference(difference, self.transform)

    def difference_of(self, change: float) -> float:
        """Returns the difference of transformed means that a change stands for."""
        return self.to(change) if self.is_log else change

    def transformed(self, values: Sequence[float]) -> np.ndarray:
        """Transforms values of the metric."""
        return np.array([self.to(value) for value in values])

    def mean(self, values: Sequence[float]) -> float:
        """Averages values on the transformed scale; returns the mean on the metric's own scale."""
        if min(values) == max(values):  # also avoids the logit of 0 or 1
            return values[0]
        return self.back(float(self.transformed(values).mean()))

    def is_improvement(self, change: float) -> bool:
        """Returns whether a change is towards the better direction."""
        return is_improvement(change, self.direction, self.no_change)

    @property
    def worse_sign(self) -> int:
        """Returns 1 if higher values are worse, else −1."""
        return 1 if self.is_lower_better else -1

    def worsening_between(self, before: float, after: float) -> float:
        """Returns the worsening on the transformed scale, below 0 for an improvement."""
        return self.worse_sign * (self.to(after) - self.to(before))

    def margin_on_scale(self, margin: float) -> float:
        """Converts a margin to an amount on the transformed scale."""
        return math.log1p(margin) if self.is_log else margin

    def worsen_value(self, value: float, amount: float) -> float:
        """Returns a value of the metric worsened by an amount on the transformed scale."""
        return self.back(self.to(value) + self.worse_sign * amount)

    def format_worsening(self, amount: float) -> str:
        """Formats a worsening on the transformed scale, like `× 1.35` or `+0.2 in log odds`."""
        change = self.worse_sign * amount
        if self.is_log:
            return f"× {math.exp(change):.3g}"
        unit = " in log odds" if self.transform == "logit" else ""
        return f"{format_signed(change, '+.3g')}{unit}"


# FID is on every learning curve, even if it is not a metric of the plan.
FID_SCALE = MetricScale("lower", "log")


@dataclass(frozen=True)
class EffectScale(MetricScale):
    """The scale of effects on an outcome, of which counts may be shares."""

    largest: float = math.inf  # possible outcome of a count, in the unit of effects


def metric_scale(plan: Mapping[str, Any], metric: str) -> MetricScale:
    """Returns the scale that a plan declares for a metric, or that of FID."""
    if metric not in plan["metrics"]:
        return FID_SCALE
    declared = plan["metrics"][metric]
    return MetricScale(declared["direction"], declared["transform"], declared.get("unit") or "")


def outcome_scale(frame: pd.DataFrame) -> MetricScale:
    """Returns the scale of the metric declared as the suite's outcome."""
    plan = frame.attrs["plan"]
    return metric_scale(plan, plan["analysis"]["outcome"])
