"""The values that a metric can have: finite numbers in the range of its transform."""

import math

POSSIBLE_VALUES = {  # by the transform of a metric
    "log": (0.0, math.inf),
    "logit": (0.0, 1.0),
    "none": (-math.inf, math.inf),
}
MAX_ROUNDING = 1e-9  # by which a sum of shares may exceed 1


def describe_impossible(value: float, transform: str) -> str:
    """Returns why a metric cannot have a value, or an empty text.

    Means and intervals would clamp such a value without a word.
    """
    low, high = POSSIBLE_VALUES[transform]
    if not math.isfinite(value):
        return f"compute returned {value}; raise MetricNotApplicable with the reason"
    if not low - MAX_ROUNDING <= value <= high + MAX_ROUNDING:
        return (
            f"compute returned {value:.4g}, which its transform {transform!r} cannot scale: "
            'declare transform = "none"'
        )
    return ""
