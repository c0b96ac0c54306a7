"""Figure of learning curves: one panel per cell, one line per trick; else all arms in one.

A band shows the range over seeds.
"""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from ganbench.report.arm_names import ArmNamer
from ganbench.report.curves import LearningCurves, learning_curves_of

from .base import draw_legend, line_style, make_figure, remove_frame, set_logarithmic

PANELS_PER_ROW = 4
MIN_FIGURE_WIDTH = 6.0  # inches, for the legend and the label of one panel


def draw_curves(frame: pd.DataFrame, namer: ArmNamer, colours: dict[str, int]) -> dict[str, Figure]:
    """Draws one figure per data set.

    The samples of learning curves differ from those of the reported values.
    """
    learning_curves = learning_curves_of(frame)
    groups = namer.add_line_names(learning_curves.points).groupby("data", sort=False)
    return {
        f"curves-{data}": draw_curve_panels(learning_curves, part, colours) for data, part in groups
    }


def draw_curve_panels(
    learning_curves: LearningCurves, points: pd.DataFrame, colours: dict[str, int]
) -> Figure:
    groups = list(points.groupby("panel", sort=False))
    columns = min(PANELS_PER_ROW, len(groups))
    rows = -(-len(groups) // columns)
    width = 3.2 if len(groups) > 1 else MIN_FIGURE_WIDTH
    drawing = make_figure(width * columns, 2.5 * rows + 0.6)
    axes = drawing.subplots(rows, columns, squeeze=False).flatten()
    for panel in axes:
        panel.label_outer()
    for spare in axes[len(groups) :]:
        spare.remove()
    panels = list(axes[: len(groups)])
    for panel, (title, part) in zip(panels, groups, strict=True):
        panel.set_yscale("log" if learning_curves.log else "linear")
        draw_lines(panel, part, colours)
        panel.set_title(str(title), fontsize=9)
        remove_frame(panel)
    share_limits(panels)
    for panel in panels:
        panel.xaxis.set_major_locator(MaxNLocator(4))
        panel.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k")
        if learning_curves.log:
            set_logarithmic(panel.yaxis)
    for panel in panels[max(0, len(groups) - columns) :]:
        panel.set_xlabel("real images shown", fontsize=9)
        panel.tick_params(labelbottom=True)
    drawing.supylabel(f"{learning_curves.label}, mean and range of seeds", fontsize=9)
    draw_legend(drawing, panels)
    return drawing


def draw_lines(panel: Any, part: pd.DataFrame, colours: dict[str, int]) -> None:
    """Draws the mean of each arm as a line, and its range over seeds as a band."""
    panel.set_autoscale_on(False)  # its limits are computed once, in `share_limits`
    for name, line in part.groupby("line", sort=False):
        style = line_style(colours[str(name)])
        x, mean, low, high = (line[key].to_numpy() for key in ("images", "mean", "min", "max"))
        panel.fill_between(x, low, high, alpha=0.15, lw=0, color=style["color"])
        panel.plot(x, mean, label=str(name), lw=1.3, **style)


def share_limits(panels: list[Any]) -> None:
    """Gives all panels the limits of all their data.

    Panels that share axes in matplotlib are slow: each line and label asks all of them for their limits.
    """
    corners = Bbox.union([panel.dataLim for panel in panels]).get_points()
    for panel in panels:
        panel.update_datalim(corners)
        panel.set_autoscale_on(True)
        panel.autoscale_view()
