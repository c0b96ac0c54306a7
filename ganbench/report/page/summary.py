"""The answer in short: the best trick in each variant or under each loss."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from ganbench.analysis.coverage import TrickCoverage
from ganbench.analysis.effects import Effect
from ganbench.analysis.leaderboard import ARM_COLUMNS
from ganbench.evaluation.metric_names import metric_display_name
from ganbench.report.arm_names import ArmNamer
from ganbench.report.format_change import (
    Facts,
    falls,
    format_adjusted_interval,
    format_change,
    format_detectable,
    format_effect_size,
)
from ganbench.report.format_number import format_cell, format_number, format_p
from ganbench.report.markdown import format_budget

from .plots import (
    IntervalMark,
    PercentAxis,
    best_first,
    describe_missing,
    make_forest_axis,
    make_interval_mark,
)


@dataclass(frozen=True)
class PlaceAnswer:
    """The best trick of a variant, a loss or the suite; `none` if no trick is better."""

    place: str
    tricks: str
    tried: int  # tricks that were compared in as many cells as any
    change: str
    interval: str
    verdict: str
    sure: str  # how certain the effect is, in words
    mark: IntervalMark | None


@dataclass(frozen=True)
class SuiteAnswers:
    by: str  # variant, loss, or empty
    axis: PercentAxis
    rows: list[PlaceAnswer]
    fewer: list[str]  # tricks that are not ranked, and the cells that lack them with the reasons
    untried: list[str]  # variants or losses


def make_answers(
    frame: pd.DataFrame, effects: list[Effect], coverage: TrickCoverage, facts: Facts
) -> SuiteAnswers | None:
    """Returns one row per variant, or per loss if there is one variant, in the suite's order.

    Within a row, only tricks that were compared in equally many cells are ranked. Returns None if no
    trick was compared with none.
    """
    by = next((part for part in ("variant", "loss") if any(getattr(e, part) for e in effects)), "")
    places = group_estimated(effects, by)
    if not places:
        return None
    best = [best_first(split_by_coverage(own)[0], facts)[0] for own in places.values()]
    axis = make_forest_axis(best, facts)
    rows = [make_answer(place, own, axis, facts) for place, own in places.items()]
    others = [effect for own in places.values() for effect in split_by_coverage(own)[1]]
    fewer = list(dict.fromkeys(describe_trick_coverage(effect, coverage) for effect in others))
    trials = frame[frame["role"].eq("trial")]
    untried = [str(p) for p in trials[by].dropna().unique() if p not in places] if by else []
    return SuiteAnswers(by, axis, rows, fewer, untried)


def group_estimated(effects: list[Effect], by: str) -> dict[str, list[Effect]]:
    """Groups the estimated effects of one table: by variant, by loss, or over the grid."""
    other = {"variant": "loss", "loss": "variant"}
    own = [e for e in effects if getattr(e, by)] if by else effects
    places: dict[str, list[Effect]] = {}
    for effect in own:
        alone = not by or not getattr(effect, other[by])
        if alone and effect.pairs:
            places.setdefault(getattr(effect, by) if by else "all cells", []).append(effect)
    return places


def split_by_coverage(effects: list[Effect]) -> tuple[list[Effect], list[Effect]]:
    """Separates the effects over the most cells from those over fewer cells."""
    most = max(effect.cells for effect in effects)
    fullest = [effect for effect in effects if effect.cells == most]
    return fullest, [effect for effect in effects if effect.cells < most]


def make_answer(place: str, effects: list[Effect], axis: PercentAxis, facts: Facts) -> PlaceAnswer:
    ranked = split_by_coverage(effects)[0]
    best = best_first(ranked, facts)[0]
    better = is_better(best, facts)
    closest = f"The closest is {best.tricks}, {format_effect_size(best, facts)}."
    return PlaceAnswer(
        place=place,
        tricks=best.tricks if better else "none",
        tried=len(ranked),
        change=format_change(best.ratio, facts) if better else "",
        interval=format_adjusted_interval(best, facts) if better else "",
        verdict=best.verdict if better else "",
        sure=format_sureness(best, facts) if better else closest,
        mark=make_interval_mark(best, axis) if better else None,
    )


def describe_trick_coverage(effect: Effect, coverage: TrickCoverage) -> str:
    """Returns a trick, and the cells in which it was not compared with their reasons."""
    return f"{effect.tricks}, {', '.join(describe_missing(coverage.missing(effect)))}"


def is_better(effect: Effect, facts: Facts) -> bool:
    """Returns whether the estimate is better than no trick."""
    return falls(effect, facts) == (facts["direction"] == "lower")


def format_sureness(best: Effect, facts: Facts) -> str:
    """Describes the certainty of an estimate that is better than no trick."""
    match best.verdict:
        case "helps":
            return f"p = {format_p(best.p)}"
        case "equivalent":
            return "within the margin of equivalence"
    smallest = format_detectable(best, facts)
    detectable = f"; detectable from {smallest}" if smallest else ""
    return f"best estimate, not shown to help{detectable}"


def leading_sentences(frame: pd.DataFrame, board: pd.DataFrame) -> list[dict[str, str]]:
    """Returns the best arm of each data set, and the number of arms tied with it."""
    plan, namer = frame.attrs["plan"], ArmNamer.of(board)
    return [
        best_arm(part, str(data), plan, namer)
        for data, part in board[board["rank"].notna()].groupby("data", sort=False)
    ]


def best_arm(
    part: pd.DataFrame, data: str, plan: dict[str, Any], namer: ArmNamer
) -> dict[str, str]:
    outcome = plan["analysis"]["outcome"]
    first = part.iloc[0].to_dict()
    ties = int(part["tied"].iloc[1:].fillna(False).sum())
    others = len(part) - 1
    return {
        "data": data,
        "arm": namer.name(first),
        "value": f"{metric_display_name(outcome, plan, data)} {format_cell(first, outcome, True)}",
        "ties": f"Not significantly different from it: {ties} of {others} other arms."
        if others
        else "",
    }


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
        ("seeds", str(len(plan["seeds"]))),
        ("budget", format_budget(plan)),
        ("data", ", ".join(dict.fromkeys(frame["data"].dropna()))),
        ("device", str(plan["device"])),
    ]
