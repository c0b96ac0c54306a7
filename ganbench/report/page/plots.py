"""Plots made of HTML tables: forest plots, heat maps and strips, in percent of an axis."""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ganbench.analysis.coverage import TrickCoverage
from ganbench.analysis.effects import Effect
from ganbench.analysis.intervals import is_improvement
from ganbench.analysis.metric_scale import EffectScale, MetricScale, metric_scale
from ganbench.counts import format_signed
from ganbench.evaluation.metric_names import metric_display_name
from ganbench.report.dependence import TrickDependence
from ganbench.report.effects import MAX_LOG_HEAT, format_probability
from ganbench.report.format_change import (
    format_adjusted_interval,
    format_change,
    format_detectable,
)

RATIO_TICKS = (  # (reach of the axis, ticks), all as factors
    (1.3, (0.8, 0.9, 1, 1.1, 1.25)),
    (2.5, (0.5, 0.7, 1, 1.4, 2)),
    (6.0, (0.25, 0.5, 1, 2, 4)),
    (math.inf, (0.05, 0.2, 1, 5, 20)),
)
NO_SIGN = re.compile(r"^\+0(?=\D|$)")  # of no change
MAX_AXIS_RATIO = 30.0  # factor; longer intervals are cut and end in an arrow
HEAT_PARTS = {"data": "data set", "loss": "loss", "variant": "variant"}
ALL_CELLS, FEWER_CELLS = "Compared on all backgrounds", "Compared on fewer backgrounds"


@dataclass(frozen=True)
class PercentAxis:
    """An axis from `low` on the left to `high` on the right."""

    low: float
    high: float
    log: bool
    ticks: tuple[tuple[float, str], ...] = ()  # place in percent, label

    def place(self, value: float) -> float:
        """Returns a position in percent of the width; values on the axis give 0 to 100."""
        value, low, high = (to_axis_scale(v, self.log) for v in (value, self.low, self.high))
        return round(100 * (value - low) / (high - low), 1) if high > low else 50.0


def to_axis_scale(value: float, log: bool) -> float:
    return math.log(max(value, 1e-12)) if log else value


def make_axis(axis: PercentAxis, values: Iterable[float], label: Any) -> PercentAxis:
    ticks = [
        (axis.place(v), NO_SIGN.sub("0", label(v))) for v in values if axis.low <= v <= axis.high
    ]
    return PercentAxis(axis.low, axis.high, axis.log, tuple(ticks))


def linear_ticks(low: float, high: float) -> list[float]:
    """Returns about four round numbers in the range, in steps of 1, 2 or 5."""
    if not high > low:
        return [low]
    size = 10 ** math.floor(math.log10((high - low) / 3))
    step = next(s for s in (size, 2 * size, 5 * size, 10 * size) if (high - low) / s <= 5)
    first = math.ceil(low / step)
    return [round(n * step, 10) for n in range(first, math.floor(high / step) + 1)]


def logarithmic_ticks(low: float, high: float) -> list[float]:
    """Returns round numbers in the range for a logarithmic axis.

    They are 1, 2 and 5 in each decade, or powers of ten only.
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if math.log10(high / low) <= 2.2 else (1,)
    return [v for d in decades for s in steps if low <= (v := s * 10.0**d) <= high]


# Forest


@dataclass(frozen=True)
class IntervalMark:
    """A mean with its interval on an axis, in percent."""

    at: float
    low: float
    high: float
    cut_low: bool
    cut_high: bool
    interval: bool


@dataclass(frozen=True)
class ForestBranch:
    """One effect in a forest plot."""

    tricks: str
    change: str
    interval: str
    p: str
    smallest: str
    pairs: int
    cells: str  # `4 of 5`
    notes: list[str]  # dependence, and cells without a comparison with the reasons
    verdict: str
    mark: IntervalMark


@dataclass(frozen=True)
class ForestPlot:
    title: str
    axis: PercentAxis
    groups: dict[str, list[ForestBranch]]  # by loss, by variant, or in one group


def make_forests(
    scale: EffectScale,
    effects: list[Effect],
    chains: list[Effect],
    coverage: TrickCoverage,
    dependence: TrickDependence,
) -> list[ForestPlot]:
    """Makes the forest plots that have effects.

    There are plots over the grid, within data sets, losses and variants, and for lists of tricks. A plot within
    a single level would repeat the one over the grid. Effects over the grid have notes on what they depend on.
    """
    over_grid = [e for e in effects if e.is_pooled]
    parts = [
        ("Over all backgrounds", group_by_coverage(over_grid, coverage)),
        ("Within each data set", group_by_part([e for e in effects if e.data], "data")),
        ("Within each loss", group_by_part([e for e in effects if e.loss], "loss")),
        ("Within each variant", group_by_part([e for e in effects if e.variant], "variant")),
        ("Lists of tricks", group_by_coverage(chains, coverage)),
    ]
    within = TrickDependence({})
    plots = [
        make_forest(title, groups, scale, coverage, within if n else dependence)
        for n, (title, groups) in enumerate(parts)
    ]
    return [plot for plot in plots if plot.groups]


def group_by_coverage(effects: list[Effect], coverage: TrickCoverage) -> dict[str, list[Effect]]:
    """Separates effects over all backgrounds from those over fewer, which do not compare."""
    complete = [effect for effect in effects if coverage.is_complete(effect)]
    fewer = [effect for effect in effects if not coverage.is_complete(effect)]
    if not fewer:
        return {"": complete}
    return {ALL_CELLS: complete, FEWER_CELLS: fewer}


def group_by_part(effects: list[Effect], part: str) -> dict[str, list[Effect]]:
    """Groups effects by a part of cells; no groups if it has a single level."""
    groups: dict[str, list[Effect]] = {}
    for effect in effects:
        if not math.isnan(effect.ratio):
            groups.setdefault(getattr(effect, part), []).append(effect)
    return groups if len(groups) > 1 else {}


def make_forest(
    title: str,
    groups: dict[str, list[Effect]],
    scale: EffectScale,
    coverage: TrickCoverage,
    dependence: TrickDependence,
) -> ForestPlot:
    """Makes one plot; the effects of each group are sorted, best first."""
    estimated = {name: best_first(effects, scale) for name, effects in groups.items()}
    axis = make_forest_axis([e for effects in estimated.values() for e in effects], scale)
    branches = {
        name: [
            make_branch(effect, axis, scale, coverage, dependence.note(effect.tricks))
            for effect in effects
        ]
        for name, effects in estimated.items()
    }
    return ForestPlot(title, axis, {name: each for name, each in branches.items() if each})


def best_first(effects: list[Effect], scale: MetricScale) -> list[Effect]:
    """Sorts the estimated effects by their means, best first."""
    estimated = [effect for effect in effects if not math.isnan(effect.ratio)]
    higher = not scale.is_lower_better
    return sorted(estimated, key=lambda effect: effect.ratio, reverse=higher)


def make_branch(
    effect: Effect, axis: PercentAxis, scale: EffectScale, coverage: TrickCoverage, note: str
) -> ForestBranch:
    return ForestBranch(
        tricks=effect.tricks,
        change=format_change(effect.ratio, scale),
        interval=format_adjusted_interval(effect, scale),
        p=format_probability(effect.p),
        smallest=format_detectable(effect, scale),
        pairs=effect.pairs,
        cells=coverage.count(effect),
        notes=[*([note] if note else []), *describe_missing(coverage.missing(effect))],
        verdict=effect.verdict,
        mark=make_interval_mark(effect, axis),
    )


def describe_missing(missing: dict[str, list[str]]) -> list[str]:
    """Returns one text per reason: `not in wgan · wasserstein: the loss has no targets`."""
    return [f"not in {', '.join(cells)}: {reason}" for reason, cells in missing.items()]


def make_interval_mark(effect: Effect, axis: PercentAxis) -> IntervalMark:
    has_interval = not math.isnan(effect.adjusted_low)
    interval = (effect.adjusted_low, effect.adjusted_high)
    ends = interval if has_interval else (effect.ratio, effect.ratio)
    low, high = (axis.place(end) for end in ends)
    return IntervalMark(
        at=min(max(axis.place(effect.ratio), 0), 100),
        low=max(low, 0),
        high=min(high, 100),
        cut_low=low < 0,
        cut_high=high > 100,
        interval=has_interval,
    )


def make_forest_axis(effects: list[Effect], scale: MetricScale) -> PercentAxis:
    """Makes an axis that covers all finite interval ends and the point of no change."""
    all_ends = [end for e in effects for end in (e.adjusted_low, e.ratio, e.adjusted_high)]
    ends = [end for end in all_ends if math.isfinite(end)]

    def show(change: float) -> str:
        return format_change(change, scale)

    if scale.is_log:
        low = max(min([1 / 1.05, *ends]), 1 / MAX_AXIS_RATIO) ** 1.06
        high = min(max([1.05, *ends]), MAX_AXIS_RATIO) ** 1.06
        ticks = next(values for upto, values in RATIO_TICKS if max(high, 1 / low) <= upto)
        return make_axis(PercentAxis(low, high, True), ticks, show)
    low, high = min([0.0, *ends]), max([0.0, *ends])
    space = 0.04 * (high - low) or 1.0
    axis = PercentAxis(low - space, high + space, False)
    return make_axis(axis, linear_ticks(axis.low, axis.high), show)


# Heat map


@dataclass(frozen=True)
class HeatCell:
    """A cell of a heat map: a change, and the strength of its colour."""

    change: str
    interval: str
    verdict: str
    side: str  # better, worse or empty
    share: int  # percent of the full colour


@dataclass(frozen=True)
class HeatMap:
    by: str
    columns: list[str]
    rows: dict[str, list[HeatCell | str]]  # the reason in place of a cell without an effect


def make_heat_maps(
    scale: MetricScale, effects: list[Effect], coverage: TrickCoverage
) -> list[HeatMap]:
    """Makes the maps of tricks by data sets, losses and variants that have several columns.

    Their rows have the order of the forest plot.
    """
    order = [e.tricks for e in best_first([e for e in effects if e.is_pooled], scale)]
    maps = [make_heat_map(effects, by, scale, coverage, order) for by in HEAT_PARTS]
    return [each for each in maps if len(each.columns) > 1]


def make_heat_map(
    effects: list[Effect], by: str, scale: MetricScale, coverage: TrickCoverage, order: list[str]
) -> HeatMap:
    own = [e for e in effects if getattr(e, by)]
    estimated = [e for e in own if not math.isnan(e.ratio)]
    columns = list(dict.fromkeys(getattr(e, by) for e in estimated))
    largest = max((abs(e.ratio) for e in estimated), default=0)
    full = MAX_LOG_HEAT if scale.is_log else largest
    cells: dict[tuple[str, str], HeatCell | str] = {
        (e.tricks, getattr(e, by)): make_heat_cell(e, scale, full) for e in estimated
    }
    tricks = sorted(dict.fromkeys(e.tricks for e in estimated), key=order_of(order))
    rows = {
        name: [
            cells.get((name, column)) or reason_without_effect(name, by, column, coverage)
            for column in columns
        ]
        for name in tricks
    }
    return HeatMap(HEAT_PARTS[by], columns, rows)


def order_of(names: list[str]) -> Callable[[str], int]:
    """Returns a sort key: the place of a name in a list; other names come last."""
    places = {name: place for place, name in enumerate(names)}
    return lambda name: places.get(name, len(places))


def reason_without_effect(tricks: str, by: str, level: str, coverage: TrickCoverage) -> str:
    """Returns the reasons why no cell of a data set, loss or variant compares these tricks."""
    empty = Effect(tricks, math.nan, math.nan, math.nan, 0, 0, 0, math.nan, "undecided")
    level_of: dict[str, Any] = {by: level}
    reasons = coverage.missing(replace(empty, **level_of))
    return "; ".join(reasons) or "no pair of seeds"


def make_heat_cell(effect: Effect, scale: MetricScale, full: float) -> HeatCell:
    change = to_axis_scale(effect.ratio, scale.is_log)
    share = round(100 * min(abs(change) / (full or 1.0), 1.0))
    side = ("better" if is_improvement(change, scale.direction) else "worse") if share else ""
    interval = format_adjusted_interval(effect, scale)
    return HeatCell(format_change(effect.ratio, scale), interval, effect.verdict, side, share)


# Strips


def make_strip_axis(values: Iterable[float], log: bool) -> PercentAxis:
    """Makes an axis that covers all seeds of a data set and its floor."""
    finite = np.array([v for v in values if math.isfinite(v) and (v > 0 or not log)], dtype=float)
    if not len(finite):
        return PercentAxis(0.0, 1.0, False)
    low, high = float(finite.min()), float(finite.max())
    if log:
        axis = PercentAxis(low / 1.15, high * 1.15, True)
        return make_axis(axis, thin_out(logarithmic_ticks(axis.low, axis.high)), format_tick)
    space = 0.05 * (high - low) or 0.5
    axis = PercentAxis(low - space, high + space, False)
    return make_axis(axis, linear_ticks(axis.low, axis.high), format_tick)


def format_tick(value: float) -> str:
    return format_signed(value, "g")


def thin_out(values: list[float], most: int = 4) -> list[float]:
    """Keeps every n-th value, such that at most `most` are left."""
    return values[:: -(-len(values) // most)] if values else []


def metric_title(metric: str, plan: dict[str, Any], data: str | None = None) -> str:
    """Returns a metric's name with an arrow in its better direction: `FID ↓`."""
    arrow = "↓" if metric_scale(plan, metric).is_lower_better else "↑"
    return f"{metric_display_name(metric, plan, data)} {arrow}"
