"""Strip plots: each seed of the best arms as a dot, beside the floor."""

import math
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ganbench.analysis.metric_scale import metric_scale
from ganbench.analysis.rows import ARM_COLUMNS
from ganbench.evaluation.metric_names import metric_display_name
from ganbench.report.arm_names import ArmNamer
from ganbench.report.seeds import seed_values

from .base import BETTER, make_figure, remove_frame, set_logarithmic

MAX_STRIP_ROWS = 40  # the best arms


def draw_strips(frame: pd.DataFrame, board: pd.DataFrame) -> dict[str, Figure]:
    """Draws one figure per data set."""
    plan = frame.attrs["plan"]
    seeds, namer = seed_values(frame), ArmNamer.of(board)
    ranked = board[board["rank"].notna()]
    return {
        f"strips-{data}": draw_strip(
            plan, part.head(MAX_STRIP_ROWS), seeds, floor_of_outcome(board, data, plan), namer
        )
        for data, part in ranked.groupby("data", sort=False)
    }


def floor_of_outcome(board: pd.DataFrame, data: Any, plan: dict[str, Any]) -> float:
    floors = board[board["role"].eq("floor") & board["data"].eq(data)]
    return float(floors[plan["analysis"]["outcome"]].iloc[0]) if len(floors) else math.nan


def draw_strip(
    plan: dict[str, Any], part: pd.DataFrame, seeds: dict[Any, Any], floor: float, namer: ArmNamer
) -> Figure:
    outcome = plan["analysis"]["outcome"]
    drawing = make_figure(7, 0.22 * len(part) + 0.9)
    panel = drawing.subplots()
    for place, row in enumerate(part.to_dict("records")):
        values = seeds.get(tuple(row[key] for key in ("role", *ARM_COLUMNS)), [])
        panel.plot(
            [row[f"{outcome} low"], row[f"{outcome} high"]],
            [place] * 2,
            color=BETTER,
            lw=5,
            alpha=0.2,
        )
        panel.plot(values, [place] * len(values), "o", color=BETTER, ms=4, alpha=0.8)
    if not math.isnan(floor):
        panel.axvline(floor, color="black", lw=0.8, ls="--", label="held-out data")
    names = [namer.name(row) for row in part.to_dict("records")]
    panel.set_yticks(range(len(part)), names, fontsize=7)
    panel.set_ylim(len(part) - 0.4, -0.6)
    if metric_scale(plan, outcome).is_log:
        panel.set_xscale("log")
        set_logarithmic(panel.xaxis)
    panel.set_xlabel(
        f"{metric_display_name(outcome, plan)}: seeds, and 95 % intervals of their mean", fontsize=9
    )
    remove_frame(panel)
    return drawing
