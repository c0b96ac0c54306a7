"""Figures for papers, each as SVG and PNG: curves, forest, heat maps, profiles, strips, fronts."""

from pathlib import Path

from ganbench.report.report import Report

from .base import as_file, colours, write_figure
from .curves import curves
from .forest import forest
from .front import fronts
from .heat import heats
from .profiles import profiles
from .strips import strips

__all__ = ["as_file", "colours", "curves", "figures", "write_figure"]


def figures(report: Report, folder: Path) -> None:
    """Writes all that there is something to show for."""
    frame, plan, arms = report.frame, report.plan, colours(report.frame)
    found = {
        **curves(frame, arms),
        **forest(plan, report.effects),
        **heats(plan, report.effects),
        **profiles(report.further.get("profiles"), plan, arms),
        **strips(frame, report.board),
        **fronts(report.further.get("front"), plan, arms),
    }
    for name, figure in found.items():
        write_figure(figure, folder / as_file(name))
