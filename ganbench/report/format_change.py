"""Changes as text: percent or factors on a logarithmic scale, else differences.

A change up to a factor of two is in percent, as in `−34 %`. A larger one is a factor, as in `× 2.8`.
"""

import math

from ganbench.analysis.effects import COUNT_UNIT, SHARE_UNIT, Effect
from ganbench.analysis.metric_scale import EffectScale, MetricScale
from ganbench.counts import format_signed

MAX_PERCENT_RATIO = 2.0  # larger ratios are factors
MAX_PERCENT_END = 10.0  # larger ends of intervals are not printed
MIN_PERCENT_RATIO = 0.005  # smaller ratios would round to −100 %
MIN_SHOWN_RATIO = 0.01
MAX_FACTOR = 100.0  # larger factors are not printed
MAX_DETECTABLE_FACTOR = (
    10.0  # larger detectable changes are not printed: so few seeds detect nothing
)
MIN_DIFFERENCE = 1e-12  # smaller differences are rounding errors of means
PERCENTAGE_POINTS, LOG_ODDS = "percentage points (pp)", "log odds"  # units of differences
BEYOND = "beyond "  # the limit of printed detectable changes


def describe_unit(scale: MetricScale) -> str:
    """Returns the unit of differences: `percentage points (pp)`, `log odds`, or an empty text."""
    if scale.unit == SHARE_UNIT:
        return PERCENTAGE_POINTS
    return LOG_ODDS if scale.transform == "logit" else ""


def format_percent(change: float) -> str:
    """Formats a change as `−34 %`, or with one digit below half a percent: `−0.4 %`."""
    form = "+.0f" if abs(change) >= 0.005 or not change else "+.1g"
    return f"{format_signed(100 * change, form)} %"


def format_factor(ratio: float) -> str:
    """Formats a ratio as `2.8`, or `over 100`."""
    return format_signed(ratio) if ratio <= MAX_FACTOR else f"over {MAX_FACTOR:g}"


def format_difference(change: float, scale: MetricScale) -> str:
    """Formats a difference as `+0.12`, or in percentage points as `+12 pp`.

    A difference that is only rounding error is `+0`.
    """
    change = 0.0 if abs(change) < MIN_DIFFERENCE else change
    if scale.unit == SHARE_UNIT:
        return f"{format_signed(100 * change, '+.3g')} pp"
    return format_signed(change, "+.3g")


def format_change(change: float, scale: MetricScale) -> str:
    """Formats a ratio on a logarithmic scale, else a difference; empty if it is NaN."""
    if math.isnan(change):
        return ""
    if not scale.is_log:
        return format_difference(change, scale)
    if change > MAX_PERCENT_RATIO:
        return f"× {format_factor(change)}"
    return format_ratio_in_percent(change)


def format_interval(low: float, high: float, scale: MetricScale, as_factors: bool = False) -> str:
    """Formats an interval as `[−50 %, −13 %]`; all numbers have the same unit."""
    if math.isnan(low):
        return "[no interval]"
    if not scale.is_log:
        ends = [format_difference(to_possible(end, scale), scale) for end in (low, high)]
    elif as_factors:
        ends = [format_factor(end) for end in (low, high)]
    else:
        ends = [format_end(end) for end in (low, high)]
    return f"[{', '.join(ends)}]"


def to_possible(change: float, scale: MetricScale) -> float:
    """Returns the end of an interval within its range: a share changes by at most 100 pp."""
    return min(max(change, -1.0), 1.0) if scale.unit == SHARE_UNIT else change


def format_end(ratio: float) -> str:
    """Formats the end of an interval in percent: `+57 %`, or `over +900 %`."""
    over = "over " if ratio > MAX_PERCENT_END else ""
    return over + format_ratio_in_percent(min(ratio, MAX_PERCENT_END))


def format_ratio_in_percent(ratio: float) -> str:
    """Formats a ratio in percent: `−34 %`; `below −99 %` if it would round to −100 %."""
    below = "below " if 0 < ratio < MIN_PERCENT_RATIO else ""
    return below + format_percent((MIN_SHOWN_RATIO if below else ratio) - 1)


def format_adjusted_interval(effect: Effect, scale: MetricScale) -> str:
    """Formats the interval that the verdict follows, in the unit of the effect's mean."""
    as_factors = effect.ratio > MAX_PERCENT_RATIO
    return format_interval(effect.adjusted_low, effect.adjusted_high, scale, as_factors)


def format_effect_size(effect: Effect, scale: MetricScale) -> str:
    """Formats an effect with its adjusted interval: `−34 % [−50 %, −13 %]`."""
    return f"{format_change(effect.ratio, scale)} {format_adjusted_interval(effect, scale)}"


def falls(effect: Effect, scale: MetricScale) -> bool:
    """Returns whether the outcome falls by the effect's mean."""
    return effect.ratio < scale.no_change


def format_detectable(effect: Effect, scale: EffectScale) -> str:
    """Formats the smallest detectable change in the direction of the effect's mean.

    Returns `beyond × 10` if only such changes are detectable, and an empty text if none is known or possible.
    """
    is_fall = falls(effect, scale)
    return (
        format_smallest(effect.smallest, scale, is_fall) if has_room(effect, scale, is_fall) else ""
    )


def has_room(effect: Effect, scale: EffectScale, is_fall: bool) -> bool:
    """Returns whether a count can change by the smallest detectable change in a direction."""
    if math.isinf(scale.largest) or math.isnan(effect.level):
        return True
    room = effect.level if is_fall else scale.largest - effect.level
    return math.isnan(effect.smallest) or effect.smallest <= room


def format_improvement(smallest: float, scale: MetricScale) -> str:
    """Formats the smallest detectable change in the better direction."""
    return format_smallest(smallest, scale, scale.is_lower_better)


def format_smallest(smallest: float, scale: MetricScale, is_fall: bool) -> str:
    if math.isnan(smallest) or (scale.unit == SHARE_UNIT and smallest > 1):
        return ""
    if not scale.is_log:
        return format_difference(-smallest if is_fall else smallest, scale)
    limit = min(smallest, MAX_DETECTABLE_FACTOR)
    beyond = BEYOND if smallest > MAX_DETECTABLE_FACTOR else ""
    return beyond + format_change(1 / limit if is_fall else limit, scale)


def describe_at_least(smallest: str) -> str:
    """Returns `about −20 % or more` for a detectable change, and `beyond −90 %` as it is."""
    return smallest if smallest.startswith(BEYOND) else f"about {smallest} or more"


def describe_direction(scale: MetricScale) -> str:
    """Returns the better direction: `lower is better`, for counts `more is better`."""
    if scale.is_lower_better:
        return "lower is better"
    is_count = scale.unit in (COUNT_UNIT, SHARE_UNIT)
    return f"{'more' if is_count else 'higher'} is better"
