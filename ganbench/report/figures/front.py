"""Fronts: quality against seconds of training, and the cells that no other one beats in both."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ganbench.report.findings import name_of

from .base import bare, figure, legend, logarithmic, look


def fronts(
    found: pd.DataFrame | None, plan: dict[str, Any], arms: dict[str, int]
) -> dict[str, Figure]:
    """One a data set."""
    if found is None:
        return {}
    known = found[found["seconds"].notna() & found["value"].notna()]
    return {
        f"front-{data}": front(plan, part, arms) for data, part in known.groupby("data", sort=False)
    }


def front(plan: dict[str, Any], part: pd.DataFrame, arms: dict[str, int]) -> Figure:
    outcome = plan["analysis"]["outcome"]
    made = figure(5, 3.6)
    panel = made.subplots()
    ahead = part[part["on_front"]].sort_values("seconds")
    panel.plot(ahead["seconds"], ahead["value"], color="#6B7280", lw=1)
    for tricks, dots in part.groupby("tricks", sort=False):
        colour = look(arms[str(tricks)])["color"]
        faces = [colour if on else "white" for on in dots["on_front"]]
        panel.scatter(
            dots["seconds"], dots["value"], c=faces, edgecolors=colour, label=str(tricks), s=26
        )
    panel.set_xscale("log")
    logarithmic(panel.xaxis)
    if plan["metrics"][outcome]["transform"] == "log":
        panel.set_yscale("log")
        logarithmic(panel.yaxis)
    panel.set_xlabel("seconds of training", fontsize=9)
    panel.set_ylabel(name_of(outcome), fontsize=9)
    bare(panel)
    legend(made, [panel])
    return made
