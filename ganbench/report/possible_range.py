"""The possible range of counts: intervals are shown within it, and means with their total.

The tables on disk keep the ends of Student's t intervals, which may exceed this range.
"""

from typing import Any

import pandas as pd

from ganbench.analysis.effects import COUNT_UNIT

from .format_number import format_number


def count_total(plan: dict[str, Any], part: pd.DataFrame, metric: str) -> float | None:
    """Returns the count that held-out data reach; None if there is no such total.

    A total that some arm exceeds is none, because held-out data then miss modes.
    """
    if plan["metrics"][metric].get("unit") != COUNT_UNIT:
        return None
    floors = part.loc[part["role"].eq("floor"), metric].dropna()
    largest = part[metric].max()
    return float(floors.max()) if len(floors) and largest <= floors.max() else None


def clip_intervals(plan: dict[str, Any], board: pd.DataFrame) -> pd.DataFrame:
    """Returns the leaderboard with the intervals of counts cut to their range."""
    counted = [m for m, facts in plan["metrics"].items() if facts.get("unit") == COUNT_UNIT]
    clipped = board.copy()
    for metric in counted:
        totals = {
            data: count_total(plan, part, metric)
            for data, part in board.groupby("data", sort=False)
        }
        upper = board["data"].map(totals).astype(float)
        clipped[f"{metric} low"] = board[f"{metric} low"].clip(lower=0)
        high = board[f"{metric} high"]
        clipped[f"{metric} high"] = high.where(~(high > upper), upper)
    return clipped


def format_total(total: float | None) -> str:
    """Formats a total as ` of 25`; empty if there is none."""
    return "" if total is None else f" of {format_number(total)}"
