"""Figure of learning curves: one panel per variant and loss, one line per arm.

A band shows the range over seeds.
"""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

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
    axes = drawing.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flatten()
    for spare in axes[len(groups) :]:
        spare.remove()
    for panel, ((variant, loss, _), part) in zip(axes, groups, strict=False):
        for tricks, line in part.groupby("tricks", sort=False):
            style = line_style(arms[str(tricks)])
            panel.fill_between(
                line["images"], line["min"], line["max"], alpha=0.15, lw=0, color=style["color"]
            )
            panel.plot(line["images"], line["mean"], label=str(tricks), lw=1.3, **style)
        panel.set_title(f"{variant} · {loss}", fontsize=9)
        panel.set_yscale("log" if learning_curves.log else "linear")
        panel.xaxis.set_major_locator(MaxNLocator(4))
        panel.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k")
        remove_frame(panel)
    if learning_curves.log:
        set_logarithmic(axes[0].yaxis)
    for panel in axes[max(0, len(groups) - columns) : len(groups)]:
        panel.set_xlabel("real images shown", fontsize=9)
        panel.tick_params(labelbottom=True)
    drawing.supylabel(f"{learning_curves.label}, mean and range of seeds", fontsize=9)
    draw_legend(drawing, axes[: len(groups)])
    return drawing
