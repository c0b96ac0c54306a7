"""Figure of the fronts: quality against seconds of training.

A line joins the cells that no other cell dominates.
"""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ganbench.analysis.metric_scale import metric_scale
from ganbench.evaluation.metric_names import metric_display_name
from ganbench.report.arm_names import ArmNamer

from .base import draw_legend, line_style, make_figure, remove_frame, set_logarithmic


def draw_fronts(
    cells: pd.DataFrame | None, plan: dict[str, Any], namer: ArmNamer, colours: dict[str, int]
) -> dict[str, Figure]:
    """Draws one figure per data set."""
    if cells is None:
        return {}
    timed = namer.add_line_names(cells[cells["seconds"].notna() & cells["value"].notna()])
    return {
        f"front-{data}": draw_front(plan, part, colours)
        for data, part in timed.groupby("data", sort=False)
    }


def draw_front(plan: dict[str, Any], part: pd.DataFrame, colours: dict[str, int]) -> Figure:
    outcome = plan["analysis"]["outcome"]
    drawing = make_figure(5, 3.6)
    panel = drawing.subplots()
    ahead = part[part["on_front"]].sort_values("seconds")
    panel.plot(ahead["seconds"], ahead["value"], color="#6B7280", lw=1)
    for name, dots in part.groupby("line", sort=False):
        colour = line_style(colours[str(name)])["color"]
        faces = [colour if on else "white" for on in dots["on_front"]]
        panel.scatter(
            dots["seconds"], dots["value"], c=faces, edgecolors=colour, label=str(name), s=26
        )
    panel.set_xscale("log")
    set_logarithmic(panel.xaxis)
    if metric_scale(plan, outcome).is_log:
        panel.set_yscale("log")
        set_logarithmic(panel.yaxis)
    panel.set_xlabel("seconds of training", fontsize=9)
    panel.set_ylabel(metric_display_name(outcome, plan), fontsize=9)
    remove_frame(panel)
    draw_legend(drawing, [panel])
    return drawing
