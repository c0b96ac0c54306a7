"""The answer in short: the best trick for each variant, loss or data set."""

from dataclasses import dataclass

import pandas as pd

from ganbench.analysis.coverage import TrickCoverage
from ganbench.analysis.effects import Effect
from ganbench.analysis.metric_scale import EffectScale, MetricScale
from ganbench.analysis.rows import ARM_COLUMNS
from ganbench.report.adaptive import describe_seeds
from ganbench.report.answer import MAX_NAMED_TRICKS, PLACES, PREPOSITIONS, by_size, describe_pooling
from ganbench.report.arm_names import shorten_names
from ganbench.report.dependence import TrickDependence
from ganbench.report.format_change import (
    describe_at_least,
    format_adjusted_interval,
    format_change,
    format_detectable,
    format_effect_size,
)
from ganbench.report.format_number import format_number, format_p
from ganbench.report.markdown import format_short_budget

from .plots import (
    IntervalMark,
    PercentAxis,
    best_first,
    describe_missing,
    make_forest_axis,
    make_interval_mark,
)

PLACE_NAMES = {"data": "data set"}


@dataclass(frozen=True)
class PlaceAnswer:
    """The best trick of a variant, a loss or the suite; `none` if no trick is better."""

    place: str
    tricks: str
    tried: int | None  # tricks that were compared on as many backgrounds as any
    change: str
    interval: str
    verdict: str
    sure: str  # how certain the effect is, in words
    mark: IntervalMark | None


@dataclass(frozen=True)
class BestTricks:
    """The best trick of each place, and the tricks that harm."""

    by: str  # data, variant, loss, or empty
    caption: str
    axis: PercentAxis
    rows: list[PlaceAnswer]
    pooled: str  # the title of the harmful tricks
    harmful: list[PlaceAnswer]  # as in the headline
    fewer: list[str]  # tricks that are not ranked in a place, and the missing backgrounds


def make_best_tricks(
    effects: list[Effect], coverage: TrickCoverage, scale: EffectScale, dependence: TrickDependence
) -> BestTricks | None:
    """Returns one row per place, in the suite's order.

    Places are data sets if the answer depends on them, else variants, or losses if there is one variant.
    Within a row, only tricks that were compared on equally many backgrounds are ranked. Rows of the tricks
    that harm follow. Returns None if no trick was compared with none.
    """
    by_data = dependence.varies_by_data
    parts = (*(["data"] if by_data else []), "variant", "loss")
    by = next((part for part in parts if any(getattr(e, part) for e in effects)), "")
    places = group_estimated(effects, by)
    if not places:
        return None
    best = [best_first(split_by_coverage(own)[0], scale)[0] for own in places.values()]
    shown = [effect for effect in best if scale.is_improvement(effect.ratio)]
    harmful = harmful_effects(effects, dependence, scale)
    axis = make_forest_axis([*shown, *harmful], scale)
    short = shorten_names(list(dict.fromkeys(e.tricks for e in effects)))
    named = shorten_names(list(places))
    others = [effect for own in places.values() for effect in split_by_coverage(own)[1]]
    unranked = [describe_trick_coverage(effect, coverage, named, by) for effect in others]
    return BestTricks(
        by=by,
        caption=describe_places(by, list(named.values())),
        axis=axis,
        rows=[make_answer(named[place], own, axis, scale, short) for place, own in places.items()],
        pooled=f"Shown to harm{describe_pooling(coverage, PLACES[:2] if by_data else PLACES)}",
        harmful=[make_harmful(effect, axis, scale, short, coverage) for effect in harmful],
        fewer=list(dict.fromkeys(unranked)),
    )


def harmful_effects(
    effects: list[Effect], dependence: TrickDependence, scale: MetricScale
) -> list[Effect]:
    """Returns the largest effects that harm, over the grid or within a data set.

    As in the headline, those within data sets count if the answer depends on the data set. A trick that
    depends on it has no effect over the grid.
    """
    pooled = [e for e in effects if e.is_pooled and not dependence.on_data(e.tricks)]
    within = [e for e in effects if e.data and dependence.varies_by_data]
    harmful = [e for e in [*pooled, *within] if e.verdict == "harms"]
    return by_size(harmful, scale)[:MAX_NAMED_TRICKS]


def describe_places(by: str, places: list[str]) -> str:
    """Returns the title of the rows: `Best trick in each variant`, `Best trick under hinge`."""
    place = places[0] if len(places) == 1 else f"each {PLACE_NAMES.get(by, by)}"
    return f"Best trick {PREPOSITIONS[by]} {place}" if by else "Best trick"


def make_harmful(
    effect: Effect,
    axis: PercentAxis,
    scale: EffectScale,
    short: dict[str, str],
    coverage: TrickCoverage,
) -> PlaceAnswer:
    """Returns the row of a trick that is shown to harm."""
    return PlaceAnswer(
        place=effect.data or count_compared_backgrounds(effect, coverage),
        tricks=short[effect.tricks],
        tried=None,
        change=format_change(effect.ratio, scale),
        interval=format_adjusted_interval(effect, scale),
        verdict=effect.verdict,
        sure=f"p = {format_p(effect.p)}",
        mark=make_interval_mark(effect, axis),
    )


def count_compared_backgrounds(effect: Effect, coverage: TrickCoverage) -> str:
    """Returns the backgrounds that compare a trick: `all 5 backgrounds`, `4 of 6 backgrounds`."""
    if coverage.is_complete(effect):
        return {1: "the background", 2: "both backgrounds"}.get(
            effect.cells, f"all {effect.cells} backgrounds"
        )
    return f"{coverage.count(effect)} backgrounds"


def group_estimated(effects: list[Effect], by: str) -> dict[str, list[Effect]]:
    """Groups the estimated effects of one table by a part of backgrounds, or over the grid."""
    others = {"data", "variant", "loss"} - {by}
    places: dict[str, list[Effect]] = {}
    for effect in effects:
        own = getattr(effect, by) if by else "all backgrounds"
        if own and effect.pairs and not any(getattr(effect, part) for part in others):
            places.setdefault(own, []).append(effect)
    return places


def split_by_coverage(effects: list[Effect]) -> tuple[list[Effect], list[Effect]]:
    """Separates the effects over the most backgrounds from those over fewer."""
    most = max(effect.cells for effect in effects)
    fullest = [effect for effect in effects if effect.cells == most]
    return fullest, [effect for effect in effects if effect.cells < most]


def make_answer(
    place: str, effects: list[Effect], axis: PercentAxis, scale: EffectScale, short: dict[str, str]
) -> PlaceAnswer:
    ranked = split_by_coverage(effects)[0]
    best = best_first(ranked, scale)[0]
    better = scale.is_improvement(best.ratio)
    closest = f"The closest is {short[best.tricks]}, {format_effect_size(best, scale)}."
    return PlaceAnswer(
        place=place,
        tricks=short[best.tricks] if better else "none",
        tried=len(ranked),
        change=format_change(best.ratio, scale) if better else "",
        interval=format_adjusted_interval(best, scale) if better else "",
        verdict=best.verdict if better else "",
        sure=format_sureness(best, scale) if better else closest,
        mark=make_interval_mark(best, axis) if better else None,
    )


def describe_trick_coverage(
    effect: Effect, coverage: TrickCoverage, places: dict[str, str], by: str
) -> str:
    """Returns a trick, and the backgrounds on which it was not compared, with their reasons.

    With several places, the place of the effect stands beside the trick: it may be ranked in others.
    """
    missing = ", ".join(describe_missing(coverage.missing(effect)))
    if len(places) < 2:
        return f"{effect.tricks}, {missing}"
    return f"{effect.tricks} {PREPOSITIONS[by]} {places[getattr(effect, by)]}, {missing}"


def format_sureness(best: Effect, scale: EffectScale) -> str:
    """Describes the certainty of an estimate that is better than no trick, beside its verdict."""
    match best.verdict:
        case "helps":
            return f"p = {format_p(best.p)}"
        case "equivalent":
            return "within the margin of equivalence"
    smallest = format_detectable(best, scale)
    return f"only {describe_at_least(smallest)} could have been shown" if smallest else ""


def run_facts(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Returns the size of the run: trainings, seeds, budget, data and device."""
    plan = frame.attrs["plan"]
    trials = frame[frame["role"].eq("trial")].drop_duplicates([*ARM_COLUMNS, "seed"])
    ended = trials["outcome"].fillna("not run").value_counts()
    counts = ", ".join(
        f"{format_number(n)} {str(name).replace('_', ' ')}" for name, n in ended.items()
    )
    return [
        ("trainings", counts),
        ("seeds", describe_seeds(plan)),
        ("budget", format_short_budget(plan)),
        ("data", list_data(frame)),
        ("device", str(plan["device"])),
    ]


def list_data(frame: pd.DataFrame) -> str:
    """Returns the names of the data sets, with their count if there are several."""
    names = list(dict.fromkeys(frame["data"].dropna()))
    count = f"{len(names)} data sets: " if len(names) > 1 else ""
    return count + ", ".join(names)
