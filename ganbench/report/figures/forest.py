"""Forest plot: each trick against none with its interval, overall and within each loss."""

import math
from typing import Any

from matplotlib.figure import Figure

from ganbench.analysis.effects import Effect
from ganbench.analysis.metric_scale import MetricScale
from ganbench.evaluation.metric_names import metric_display_name
from ganbench.report.format_change import format_change

from .base import BETTER, OPEN, WORSE, make_figure, remove_frame

VERDICT_COLOURS = {"helps": BETTER, "harms": WORSE, "equivalent": "#009E73", "undecided": OPEN}


def draw_forest(
    plan: dict[str, Any], effects: list[Effect], scale: MetricScale
) -> dict[str, Figure]:
    """Draws all effects with the intervals that their verdicts follow."""
    estimated = [e for e in effects if not (e.variant or e.data or math.isnan(e.ratio))]
    groups = {
        loss: [e for e in estimated if e.loss == loss]
        for loss in dict.fromkeys(e.loss for e in estimated)
    }
    if not estimated:
        return {}
    outcome = plan["analysis"]["outcome"]
    log = scale.is_log
    drawing = make_figure(7, 0.28 * len(estimated) + 0.5 * len(groups) + 0.6)
    heights = [len(group) + 0.6 for group in groups.values()]
    axes = drawing.subplots(len(groups), 1, sharex=True, squeeze=False, height_ratios=heights)
    for panel, (loss, group) in zip(axes.flatten(), groups.items(), strict=True):
        draw_branches(panel, group, log)
        panel.set_title(loss or "all backgrounds", fontsize=9, loc="left")
    axes[-1, 0].xaxis.set_major_formatter(lambda value, _: format_change(value, scale))
    axes[-1, 0].tick_params(axis="x", labelsize=8)
    axes[-1, 0].set_xlabel(
        f"change of {metric_display_name(outcome, plan)}, 95 % intervals, adjusted", fontsize=9
    )
    return {"forest": drawing}


def draw_branches(panel: Any, effects: list[Effect], log: bool) -> None:
    for place, effect in enumerate(effects):
        colour = VERDICT_COLOURS[effect.verdict]
        panel.plot(
            [effect.adjusted_low, effect.adjusted_high], [place, place], color=colour, lw=1.8
        )
        face = "white" if effect.verdict == "undecided" else colour
        panel.plot(effect.ratio, place, "o", color=colour, markerfacecolor=face, ms=5.5)
    panel.axvline(1.0 if log else 0.0, color="black", lw=0.8)
    panel.set_yticks(range(len(effects)), [effect.tricks for effect in effects], fontsize=8)
    panel.set_ylim(len(effects) - 0.4, -0.6)
    if log:
        panel.set_xscale("log", base=2)
    remove_frame(panel)
