"""Heat maps: the change by each trick under each loss, and in each variant."""

import math
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ganbench.analysis.effects import Effect
from ganbench.analysis.metric_scale import MetricScale
from ganbench.evaluation.metric_names import metric_display_name
from ganbench.report.effects import MAX_LOG_HEAT
from ganbench.report.format_change import format_change

from .base import BETTER, WORSE, make_figure

FALLING_COLOURS = LinearSegmentedColormap.from_list("falling", [BETTER, "#F5F6F8", WORSE])


def draw_heat_maps(
    plan: dict[str, Any], effects: list[Effect], scale: MetricScale
) -> dict[str, Figure]:
    figures = {f"heat-{by}": draw_heat_map(plan, effects, by, scale) for by in ("loss", "variant")}
    return {name: figure for name, figure in figures.items() if figure}


def draw_heat_map(
    plan: dict[str, Any], effects: list[Effect], by: str, scale: MetricScale
) -> Figure | None:
    estimated = [e for e in effects if getattr(e, by) and not math.isnan(e.ratio)]
    columns = list(dict.fromkeys(getattr(e, by) for e in estimated))
    tricks = list(dict.fromkeys(e.tricks for e in estimated))
    if not estimated:
        return None
    outcome = plan["analysis"]["outcome"]
    log = scale.is_log
    drawing = make_figure(2.6 + 1.3 * len(columns), 1.1 + 0.42 * len(tricks))
    panel, values = drawing.subplots(), np.full((len(tricks), len(columns)), math.nan)
    for effect in estimated:
        row, column = tricks.index(effect.tricks), columns.index(getattr(effect, by))
        values[row, column] = math.log(max(effect.ratio, 1e-12)) if log else effect.ratio
        decided = effect.verdict != "undecided"
        write_change(panel, row, column, format_change(effect.ratio, scale), framed=decided)
    full = MAX_LOG_HEAT if log else float(np.nanmax(np.abs(values))) or 1.0
    map_ = FALLING_COLOURS if scale.is_lower_better else FALLING_COLOURS.reversed()
    panel.imshow(values, cmap=map_, vmin=-full, vmax=full, alpha=0.6, aspect="auto")
    panel.set_xticks(range(len(columns)), columns, fontsize=8)
    panel.set_yticks(range(len(tricks)), tricks, fontsize=8)
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    panel.set_title(
        f"change of {metric_display_name(outcome, plan)}; frame: decided effect",
        fontsize=9,
        loc="left",
    )
    return drawing


def write_change(panel: Any, row: int, column: int, text: str, *, framed: bool) -> None:
    """Writes a change into its cell, bold and framed if it is decided."""
    weight = "bold" if framed else "normal"
    panel.text(column, row, text, ha="center", va="center", fontsize=8, weight=weight)
    if framed:
        panel.add_patch(Rectangle((column - 0.48, row - 0.46), 0.96, 0.92, fill=False, lw=1.4))
