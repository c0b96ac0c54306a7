"""Figures for papers as SVG and PNG: curves, forest, heat maps, profiles, strips, fronts."""

from pathlib import Path

from ganbench.report.report import SuiteReport

from .base import arm_colours, file_name_of, write_figure
from .curves import draw_curves
from .forest import draw_forest
from .front import draw_fronts
from .heat import draw_heat_maps
from .profiles import draw_profiles
from .strips import draw_strips


def write_figures(report: SuiteReport, folder: Path) -> None:
    """Writes all figures for which the report has data."""
    frame, plan, arms = report.frame, report.plan, arm_colours(report.frame)
    drawn = {
        **draw_curves(frame, arms),
        **draw_forest(plan, report.effects, report.effect_facts),
        **draw_heat_maps(plan, report.effects, report.effect_facts),
        **draw_profiles(report.further.get("profiles"), plan, arms),
        **draw_strips(frame, report.board),
        **draw_fronts(report.further.get("front"), plan, arms),
    }
    for name, figure in drawn.items():
        write_figure(figure, folder / file_name_of(name))
