"""Profiles: the share of each arm's trainings within a factor of their cell's best arm."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ganbench.evaluation.metric_names import metric_display_name

from .base import draw_legend, line_style, make_figure, remove_frame


def draw_profiles(
    shares: pd.DataFrame | None, plan: dict[str, Any], colours: dict[str, int]
) -> dict[str, Figure]:
    if shares is None:
        return {}
    drawing = make_figure(5, 3.6)
    panel = drawing.subplots()
    for tricks, line in shares.groupby("tricks", sort=False):
        style = line_style(colours[str(tricks)])
        panel.fill_between(
            line["factor"], line["low"], line["high"], alpha=0.08, lw=0, color=style["color"]
        )
        panel.plot(line["factor"], line["share"], label=str(tricks), lw=1.5, **style)
    factors = sorted(shares["factor"].unique())
    panel.set(xscale="log", ylim=(0, 1.02), xlim=(factors[0], factors[-1]))
    labelled = [factor for factor in factors if factor == 1 or factor >= 1.25]
    panel.set_xticks(labelled, [f"{factor:g}" for factor in labelled], fontsize=8)
    panel.minorticks_off()
    panel.set_xlabel(
        f"factor of the best {metric_display_name(plan['analysis']['outcome'], plan)} of the background",
        fontsize=9,
    )
    panel.set_ylabel("share of trainings", fontsize=9)
    remove_frame(panel)
    draw_legend(drawing, [panel])
    return {"profiles": drawing}
