"""Figures for papers, each as SVG and PNG: curves, forest, heat maps, profiles, strips, fronts."""

from pathlib import Path

import pandas as pd

from ...analysis.effects import Effect
from .base import as_file, colours, write_figure
from .curves import curves
from .forest import forest
from .front import fronts
from .heat import heats
from .profiles import profiles
from .strips import strips

__all__ = ["as_file", "colours", "curves", "figures", "write_figure"]


def figures(
    frame: pd.DataFrame,
    board: pd.DataFrame,
    effects: list[Effect],
    further: dict[str, pd.DataFrame],
    folder: Path,
) -> None:
    """Writes all that there is something to show for."""
    plan, arms = frame.attrs["plan"], colours(frame)
    found = {
        **curves(frame, arms),
        **forest(plan, effects),
        **heats(plan, effects),
        **profiles(further.get("profiles"), plan, arms),
        **strips(frame, board),
        **fronts(further.get("front"), plan, arms),
    }
    for name, figure in found.items():
        write_figure(figure, folder / as_file(name))
