"""Lines that charts emphasize: none and the best arms, with colours that differ most.

The script draws all other lines in light grey until they are chosen.
"""

import pandas as pd

from ganbench.analysis.contrasts import BACKGROUND_COLUMNS
from ganbench.analysis.factors import NO_TRICK
from ganbench.report.arm_names import ArmNamer

MAX_BEST_ARMS = 5  # drawn in colour besides none


def best_lines(board: pd.DataFrame, namer: ArmNamer, most: int = MAX_BEST_ARMS) -> list[str]:
    """Returns the tricks with the best mean rank within their backgrounds, best first.

    Where tricks do not vary, these are the arms with the best mean rank within their data sets. The rank is a
    share of the arms of the background or data set. In one without the trick or arm it counts as a half.
    """
    ranked = namer.add_line_names(board[board["rank"].notna()])
    if ranked.empty:
        return []
    place = BACKGROUND_COLUMNS if namer.has_tricks else ["data"]
    groups = ranked.groupby(place, dropna=False, sort=False)
    counts = groups["rank"].transform("size")
    shares = (groups["rank"].rank() - 0.5).astype(float) / counts
    missing = groups.ngroups - shares.groupby(ranked["line"]).size()
    means = (shares.groupby(ranked["line"]).sum() + 0.5 * missing) / groups.ngroups
    names = means.drop(NO_TRICK, errors="ignore").sort_values(kind="stable").index
    return [str(name) for name in names[:most]]


def page_colours(lines: list[str], best: list[str]) -> dict[str, int]:
    """Returns the colour number of each line: no trick is 0, then the best, then the others."""
    return {name: n for n, name in enumerate(dict.fromkeys([NO_TRICK, *best, *lines]))}
