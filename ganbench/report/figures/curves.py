"""Figure of learning curves: one panel per variant and loss, one line per arm.

A band shows the range over seeds.
"""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from ganbench.analysis.contrasts import CELL_COLUMNS
from ganbench.report.curves import LearningCurves, learning_curves_of

from .base import draw_legend, line_style, make_figure, remove_frame, set_logarithmic

PANELS_PER_ROW = 4


def draw_curves(frame: pd.DataFrame, arms: dict[str, int]) -> dict[str, Figure]:
    """Draws one figure per data set.

    The samples of learning curves differ from those of the reported values.
    """
    learning_curves = learning_curves_of(frame)
    groups = learning_curves.points.groupby("data", sort=False)
    return {
        f"curves-{data}": draw_curve_panels(learning_curves, part, arms) for data, part in groups
    }


def draw_curve_panels(
    learning_curves: LearningCurves, points: pd.DataFrame, arms: dict[str, int]
) -> Figure:
    groups = list(points.groupby(CELL_COLUMNS[1:], dropna=False, sort=False))
    columns = min(PANELS_PER_ROW, len(groups))
    rows = -(-len(groups) // columns)
    drawing = make_figure(3.2 * columns, 2.5 * rows + 0.6)
    axes = drawing.subplots(rows, columns, squeeze=False).flatten()
    for panel in axes:
        panel.label_outer()
    for spare in axes[len(groups) :]:
        spare.remove()
    panels = list(axes[: len(groups)])
    for panel, ((variant, loss, _), part) in zip(panels, groups, strict=True):
        panel.set_yscale("log" if learning_curves.log else "linear")
        draw_lines(panel, part, arms)
        panel.set_title(f"{variant} · {loss}", fontsize=9)
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


def draw_lines(panel: Any, part: pd.DataFrame, arms: dict[str, int]) -> None:
    """Draws the mean of each arm as a line, and its range over seeds as a band."""
    panel.set_autoscale_on(False)  # its limits are computed once, in `share_limits`
    for tricks, line in part.groupby("tricks", sort=False):
        style = line_style(arms[str(tricks)])
        x, mean, low, high = (line[name].to_numpy() for name in ("images", "mean", "min", "max"))
        panel.fill_between(x, low, high, alpha=0.15, lw=0, color=style["color"])
        panel.plot(x, mean, label=str(tricks), lw=1.3, **style)


def share_limits(panels: list[Any]) -> None:
    """Gives all panels the limits of all their data.

    Panels that share axes in matplotlib are slow: each line and label asks all of them for their limits.
    """
    corners = Bbox.union([panel.dataLim for panel in panels]).get_points()
    for panel in panels:
        panel.update_datalim(corners)
        panel.set_autoscale_on(True)
        panel.autoscale_view()
