"""The answer in short: the best trick of each loss, its change, and its certainty."""

import math
from dataclasses import dataclass

import pandas as pd

from ganbench.analysis.effects import Effect
from ganbench.analysis.leaderboard import ARM_COLUMNS
from ganbench.report.findings import format_effect_size, format_least_change, metric_display_name
from ganbench.report.markdown import format_budget, format_cell, format_number

from .plots import IntervalMark, PercentAxis, make_forest_axis, make_interval_mark

UNBOUNDED_RATIO = 100.0  # larger detectable changes are not printed


@dataclass(frozen=True)
class LossAnswer:
    """The best of the tricks that were tried under one loss."""

    loss: str
    tricks: str
    tried: int
    change: str  # `−34 % [−50 %, −13 %]`
    verdict: str
    sure: str  # how certain the effect is, in words
    mark: IntervalMark


@dataclass(frozen=True)
class SuiteAnswers:
    axis: PercentAxis
    rows: list[LossAnswer]
    untried: list[str]  # losses


def make_answers(frame: pd.DataFrame, effects: list[Effect]) -> SuiteAnswers | None:
    """Returns one row per loss, in the order of the suite.

    Returns None if no trick was compared with none.
    """
    plan = frame.attrs["plan"]
    facts = plan["metrics"][plan["analysis"]["outcome"]]
    losses = list(dict.fromkeys(frame.loc[frame["role"].eq("trial"), "loss"].dropna()))
    tried = {loss: effects_of_loss(effects, loss, alone=len(losses) == 1) for loss in losses}
    best = {loss: best_effect(entries, facts) for loss, entries in tried.items()}
    decided = {loss: effect for loss, effect in best.items() if effect}
    if not decided:
        return None
    axis = make_forest_axis(list(decided.values()), facts)
    rows = [make_answer(loss, e, len(tried[loss]), axis, facts) for loss, e in decided.items()]
    return SuiteAnswers(axis, rows, [loss for loss in losses if loss not in decided])


def effects_of_loss(effects: list[Effect], loss: str, alone: bool) -> list[Effect]:
    """Returns the effects within a loss, or over the grid if it is the only loss."""
    own = [e for e in effects if not e.variant and e.loss == ("" if alone else loss)]
    return [effect for effect in own if not math.isnan(effect.ratio)]


def best_effect(effects: list[Effect], facts: dict[str, str]) -> Effect | None:
    """Returns the effect with the largest change for the better, or None.

    Effects with the verdict `helps` come before all others.
    """
    sign = 1 if facts["direction"] == "lower" else -1
    order = sorted(effects, key=lambda e: (e.verdict != "helps", sign * e.ratio))
    return order[0] if order else None


def make_answer(
    loss: str, best: Effect, tried: int, axis: PercentAxis, facts: dict[str, str]
) -> LossAnswer:
    return LossAnswer(
        loss=loss,
        tricks=best.tricks,
        tried=tried,
        change=format_effect_size(best, facts),
        verdict=best.verdict,
        sure=format_sureness(best, facts),
        mark=make_interval_mark(best, axis),
    )


def format_sureness(best: Effect, facts: dict[str, str]) -> str:
    """Describes the certainty of the best effect, no stronger than its interval."""
    match best.verdict:
        case "helps":
            return f"p = {best.p:.2g}"
        case "harms":
            return f"p = {best.p:.2g}; no trick is shown to help, and this one harms least"
        case "equivalent":
            return "smaller than the declared margin; no trick is shown to help"
    return format_undecided(best, facts)


def format_undecided(best: Effect, facts: dict[str, str]) -> str:
    falls = best.ratio < (1 if facts["transform"] == "log" else 0)
    better = falls == (facts["direction"] == "lower")
    verdict = (
        "best estimate, but no trick is shown to help"
        if better
        else "every trick has a worse mean than no trick"
    )
    if not best.smallest < UNBOUNDED_RATIO:
        return verdict
    least_change = format_least_change(best.smallest, facts["transform"])
    return f"{verdict}; detectable from {least_change}"


def leading_sentences(frame: pd.DataFrame, board: pd.DataFrame) -> list[dict[str, str]]:
    """Returns the best arm of each data set, and the number of arms tied with it."""
    plan = frame.attrs["plan"]
    outcome = plan["analysis"]["outcome"]
    return [
        best_arm(part, str(data), outcome)
        for data, part in board[board["rank"].notna()].groupby("data", sort=False)
    ]


def best_arm(part: pd.DataFrame, data: str, outcome: str) -> dict[str, str]:
    first = part.iloc[0].to_dict()
    ties = int(part["tied"].iloc[1:].fillna(False).sum())
    others = len(part) - 1
    return {
        "data": data,
        "arm": " · ".join(first[key] for key in ARM_COLUMNS[1:4]),
        "value": f"{metric_display_name(outcome)} {format_cell(first, outcome, True)}",
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
