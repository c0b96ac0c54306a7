"""Profiles: the share of each arm's trainings within a factor of their cell's best arm."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ganbench.report.findings import name_of

from .base import bare, figure, legend, look


def profiles(
    found: pd.DataFrame | None, plan: dict[str, Any], arms: dict[str, int]
) -> dict[str, Figure]:
    if found is None:
        return {}
    made = figure(5, 3.6)
    panel = made.subplots()
    for tricks, line in found.groupby("tricks", sort=False):
        style = look(arms[str(tricks)])
        panel.fill_between(
            line["factor"], line["low"], line["high"], alpha=0.08, lw=0, color=style["color"]
        )
        panel.plot(line["factor"], line["share"], label=str(tricks), lw=1.5, **style)
    factors = sorted(found["factor"].unique())
    panel.set(xscale="log", ylim=(0, 1.02), xlim=(factors[0], factors[-1]))
    told = [factor for factor in factors if factor == 1 or factor >= 1.25]
    panel.set_xticks(told, [f"{factor:g}" for factor in told], fontsize=8)
    panel.minorticks_off()
    panel.set_xlabel(
        f"factor of the best {name_of(plan['analysis']['outcome'])} of the cell", fontsize=9
    )
    panel.set_ylabel("share of trainings", fontsize=9)
    bare(panel)
    legend(made, [panel])
    return {"profiles": made}
