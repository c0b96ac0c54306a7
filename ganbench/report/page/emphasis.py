"""Arms that charts emphasize: none and the best ones, with colours that differ most.

The script draws all other arms in light grey until they are chosen.
"""

import pandas as pd

from ganbench.analysis.contrasts import CELL_COLUMNS
from ganbench.analysis.factors import NO_TRICK

MAX_BEST_ARMS = 5  # drawn in colour besides none


def best_tricks(board: pd.DataFrame, most: int = MAX_BEST_ARMS) -> list[str]:
    """Returns the tricks with the best mean rank within their cells, best first.

    The rank is a share of the arms of the cell. In a cell without the trick it counts as a half.
    """
    ranked = board[board["rank"].notna()]
    if ranked.empty:
        return []
    groups = ranked.groupby(CELL_COLUMNS, dropna=False, sort=False)
    counts = groups["rank"].transform("size")
    shares = (groups["rank"].rank() - 0.5).astype(float) / counts
    missing = groups.ngroups - shares.groupby(ranked["tricks"]).size()
    means = (shares.groupby(ranked["tricks"]).sum() + 0.5 * missing) / groups.ngroups
    names = means.drop(NO_TRICK, errors="ignore").sort_values(kind="stable").index
    return [str(name) for name in names[:most]]


def page_colours(tricks: list[str], best: list[str]) -> dict[str, int]:
    """Returns the colour number of each trick: none is 0, then the best ones, then the others."""
    return {name: n for n, name in enumerate(dict.fromkeys([NO_TRICK, *best, *tricks]))}
