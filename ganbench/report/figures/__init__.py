"""Figures for papers as SVG and PNG: curves, forest, heat maps, profiles, strips, fronts."""

from collections.abc import Collection
from pathlib import Path

from ganbench.report.arm_names import ArmNamer
from ganbench.report.report import SuiteReport

from .base import FILE_KINDS, file_name_of, line_colours, write_figure
from .curves import draw_curves
from .forest import draw_forest
from .front import draw_fronts
from .heat import draw_heat_maps
from .profiles import draw_profiles
from .strips import draw_strips


def write_figures(report: SuiteReport, folder: Path) -> None:
    """Writes all figures for which the report has data, and deletes those of an earlier plan."""
    frame, plan, namer = report.frame, report.plan, ArmNamer.of(report.board)
    colours = line_colours(frame, namer)
    drawn = {
        **draw_curves(frame, namer, colours),
        **draw_forest(plan, report.effects, report.effect_scale),
        **draw_heat_maps(plan, report.effects, report.effect_scale),
        **draw_profiles(report.further.get("profiles"), plan, colours),
        **draw_strips(frame, report.board),
        **draw_fronts(report.further.get("front"), plan, namer, colours),
    }
    names = {file_name_of(name): figure for name, figure in drawn.items()}
    for name, figure in names.items():
        write_figure(figure, folder / name)
    delete_other_figures(folder, names)


def delete_other_figures(folder: Path, kept: Collection[str]) -> None:
    """Deletes figures with other names; pictures of generators have no SVG, and stay."""
    for path in folder.glob("*.svg"):
        if path.stem not in kept:
            for kind in FILE_KINDS:
                path.with_suffix(f".{kind}").unlink(missing_ok=True)
