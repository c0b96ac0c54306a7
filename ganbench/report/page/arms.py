"""Cards of arms: samples, scores and losses of their trainings, and flags."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ganbench.analysis.rows import ARM_COLUMNS, flags_of, without_attributes
from ganbench.evaluation.metric_names import metric_display_name
from ganbench.report.arm_names import ArmNamer
from ganbench.report.curves import LearningCurves
from ganbench.report.findings import FLAG_WORDS, flags_sentence
from ganbench.report.format_number import format_cell
from ganbench.report.losses import arms_in_turn
from ganbench.report.markdown import format_flag_counts
from ganbench.report.report import SuiteReport

from .arm_data import arm_key
from .card_pictures import CardPicture, collect_pictures
from .leaderboard import CellName, make_cell_name, name_facets
from .panels import chart_axis, floors_by_data, rounded_numbers

VISIBLE_ARMS = 12  # cards shown at first
MAX_DIRECT_LABELS = 6  # lines with names at their ends
CHARTED_TERMS = {  # charts of the losses that are logged during training
    "losses": ("discriminator", "generator"),
    "mean scores of the discriminator": ("real_score", "fake_score"),
}
Key = tuple[Any, ...]
ScoresBySeed = dict[int, list[tuple[int, float]]]  # (step, value) points by seed


@dataclass(frozen=True)
class ArmChart:
    """A chart: its title, and the data from which the script draws it."""

    title: str
    drawn: dict[str, Any]


@dataclass(frozen=True)
class ArmCard:
    """A card with an arm's name, result, pictures and charts."""

    number: int
    name: CellName
    data: str
    value: str
    marks: str  # flags with the number of seeds, in one line
    flags: list[str]  # sentences
    pictures: list[CardPicture]
    charts: list[ArmChart]


@dataclass(frozen=True)
class ArmCards:
    arms: list[ArmCard]
    album: dict[str, str]
    real: dict[str, str]  # pictures of held-out examples by data set
    note: str  # on pictures that are not in the page
    facets: dict[str, list[str]]
    with_losses: bool


@dataclass(frozen=True)
class TrainedCells:
    """The trainings of a suite and their scores, by cell."""

    trials: dict[Key, list[Any]]  # one row per training, as named tuples
    scores: dict[Key, ScoresBySeed]
    curves: LearningCurves


def make_arm_cards(
    report: SuiteReport, learning_curves: LearningCurves, figures: Path
) -> ArmCards | None:
    """Makes the cards of all trained arms, best first.

    Returns None if no arm has a picture or a chart.
    """
    cells = trained_cells(report.frame, learning_curves)
    ranked, logged = arms_in_turn(report.board), losses_by_trial(report)
    namer = ArmNamer.of(report.board)
    floors = floors_by_data(report.board, learning_curves)
    rows = {int(number): ranked.loc[number].to_dict() for number in ranked.index}
    by_card = {number: cells.trials.get(arm_key(rows[number]), []) for number in sorted(rows)}
    pictures = collect_pictures(report, by_card, figures)
    cards = {}
    for number, row in rows.items():
        key, trials = arm_key(row), by_card[number]
        cards[number] = ArmCard(
            number=number,
            name=make_cell_name(row, namer),
            data=row["data"],
            value=format_result(row, report.plan),
            marks=format_flag_counts(row),
            flags=flag_sentences(trials),
            pictures=pictures.by_card[number],
            charts=score_chart(key, cells, floors.get(row["data"])) + loss_charts(trials, logged),
        )
    best_first = [cards[number] for number in sorted(cards)]
    if not any(arm.pictures or arm.charts for arm in best_first):
        return None
    facets = name_facets(arm.name for arm in best_first)
    return ArmCards(
        best_first, pictures.album.pictures, pictures.real, pictures.note, facets, bool(logged)
    )


def format_result(row: dict[Any, Any], plan: dict[str, Any]) -> str:
    """Returns the outcome of an arm, or the reason why it has none."""
    if not row["done"]:
        return str(row["reason"])
    outcome = plan["analysis"]["outcome"]
    name = metric_display_name(outcome, plan, row["data"])
    return f"{name} {format_cell(row, outcome, True)}"


def losses_by_trial(report: SuiteReport) -> dict[str, pd.DataFrame]:
    return {str(trial): part for trial, part in report.losses.groupby("trial")}


def trained_cells(frame: pd.DataFrame, learning_curves: LearningCurves) -> TrainedCells:
    """Collects trainings and points of their curves by cell, in one pass each."""
    trials = trials_by_cell(frame)
    return TrainedCells(trials, scores_by_cell(learning_curves.scores), learning_curves)


def trials_by_cell(frame: pd.DataFrame) -> dict[Key, list[Any]]:
    trials: dict[Key, list[Any]] = {}
    rows = without_attributes(frame)
    is_trial = (rows["role"].eq("trial") & rows["trial"].notna()).to_numpy(bool)
    keys = rows.loc[is_trial, ["trial", *ARM_COLUMNS, "seed"]]
    places = np.flatnonzero(is_trial)[~keys.duplicated().to_numpy()]
    for row in rows.iloc[places].itertuples():
        trials.setdefault(tuple(getattr(row, key) for key in ARM_COLUMNS), []).append(row)
    return trials


def scores_by_cell(scores: pd.DataFrame) -> dict[Key, ScoresBySeed]:
    cells: dict[Key, ScoresBySeed] = {}
    points = scores[[*ARM_COLUMNS, "seed", "step", "value"]].dropna(subset="step")
    for *key, seed, step, value in points.itertuples(index=False, name=None):
        seeds = cells.setdefault(tuple(key), {})
        seeds.setdefault(int(seed), []).append((int(step), float(value)))
    return cells


def flag_sentences(trials: list[Any]) -> list[str]:
    """Returns one sentence per seed with its flags and their steps."""
    flags = {int(row.seed): flags_of(row) for row in trials}
    return [f"Seed {seed}: {flags_sentence(flags)}" for seed, flags in flags.items() if flags]


def flag_marks(trials: list[Any]) -> list[dict[str, Any]]:
    return [
        {
            "x": step,
            "name": f"seed {row.seed}: {FLAG_WORDS[flag]} step {step}",
            "short": f"seed {row.seed}: {flag}",
        }
        for row in trials
        for flag, step in flags_of(row).items()
    ]


def score_chart(key: Key, cells: TrainedCells, floor: float | None) -> list[ArmChart]:
    """Makes the chart of scores during training; all seeds share the measured steps."""
    seeds = cells.scores.get(key)
    if not seeds:
        return []
    steps = sorted({step for points in seeds.values() for step, _ in points})
    label = cells.curves.label
    chart = {
        "x": chart_axis("step", log=False),
        "y": chart_axis(label, cells.curves.log),
        "direct": len(seeds) <= MAX_DIRECT_LABELS,
        "at": steps,
        "floor": floor,
        "flags": flag_marks(cells.trials.get(key, [])),
        "lines": score_lines(seeds, steps),
    }
    return [ArmChart(f"{label} by step, one line per seed", chart)]


def score_lines(seeds: ScoresBySeed, steps: list[int]) -> list[dict[str, Any]]:
    lines = []
    for seed, points in seeds.items():
        value_at = dict(points)
        values = rounded_numbers([value_at.get(step, math.nan) for step in steps], digits=3)
        lines.append({"name": f"seed {seed}", "y": values})
    return lines


def loss_charts(trials: list[Any], logged: dict[str, pd.DataFrame]) -> list[ArmChart]:
    """Makes the charts of losses, from the one training of an arm that has them."""
    row = next((row for row in trials if row.trial in logged), None)
    if row is None:
        return []
    charts = {title: term_lines(terms, logged[row.trial]) for title, terms in CHARTED_TERMS.items()}
    axes = {"x": chart_axis("step", log=False), "y": chart_axis("", log=False)}
    options = {**axes, "direct": True, "flags": flag_marks([row])}
    return [
        ArmChart(f"{title}, seed {row.seed}", {**options, "lines": lines})
        for title, lines in charts.items()
        if lines
    ]


def term_lines(terms: tuple[str, ...], losses: pd.DataFrame) -> list[dict[str, Any]]:
    lines = []
    for term in terms:
        logged = losses[losses[term].notna()]
        if len(logged):
            x, y = rounded_numbers(logged["step"]), rounded_numbers(logged[term], digits=3)
            lines.append({"name": term.removesuffix("_score"), "x": x, "y": y})
    return lines
