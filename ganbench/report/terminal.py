"""The leaderboard in a terminal of 80 columns or more; plain text if output is redirected."""

from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ganbench.analysis.leaderboard import leaderboard

from .findings import metric_display_name, run_findings
from .markdown import format_budget, format_cell, format_measured_count, format_number, tie_mark

MAX_CELLS_SHOWN = 12  # cells per data set; the file has the rest


def print_leaderboard(frame: pd.DataFrame, console: Console) -> None:
    """Prints one table per data set, then the findings."""
    plan, board = frame.attrs["plan"], leaderboard(frame)
    for data, part in board.groupby("data", sort=False):
        console.print(terminal_table(plan, str(data), part))
        hidden = part["rank"].notna().sum() - select_shown_rows(part)["rank"].notna().sum()
        if hidden:
            console.print(f"… and {hidden} more cells in leaderboard.md", highlight=False)
    console.print(f"Budget: {format_budget(plan)}.", highlight=False, markup=False)
    for line in run_findings(frame):
        console.print(line, style="bold", highlight=False, markup=False)


def terminal_table(plan: dict[str, Any], data: str, part: pd.DataFrame) -> Table:
    outcome = plan["analysis"]["outcome"]
    modes = next((metric for metric in plan["metrics"] if metric.startswith("modes")), None)
    title = f"{plan['suite']}: {data}"
    grid = Table(title=escape(title), box=SIMPLE_HEAD, title_justify="left", padding=(0, 1))
    grid.add_column("#", justify="right")
    grid.add_column("variant · loss · tricks")
    grid.add_column(f"{metric_display_name(outcome)} [95 %]", justify="right", no_wrap=True)
    grid.add_column("modes", justify="right")
    grid.add_column("n", justify="right")
    plans = part[part["role"] == "trial"].groupby("variant")["plan"].nunique()
    several_plans = bool((plans > 1).any())
    for row in select_shown_rows(part).to_dict("records"):
        cells = [
            terminal_rank(row),
            format_arm_name(row, several_plans),
            format_cell(row, outcome, True),
            format_modes(row, modes),
            format_measured_count(row),
        ]
        style = None if row["role"] == "trial" else "dim"
        grid.add_row(*(escape(text) for text in cells), style=style)
    return grid


def format_modes(row: dict[Any, Any], metric: str | None) -> str:
    return "" if metric is None or pd.isna(row[metric]) else format_number(row[metric])


def terminal_rank(row: dict[Any, Any]) -> str:
    return "" if row["role"] != "trial" or pd.isna(row["rank"]) else f"{row['rank']}{tie_mark(row)}"


def format_arm_name(row: dict[Any, Any], with_plan: bool) -> str:
    """Formats a name as `dcgan · hinge · r1`, or the name of a reference.

    The plan is appended if a variant has several.
    """
    match row["role"]:
        case "floor":
            return "floor: held-out data"
        case "theory":
            return "floor: by theory"
        case "untrained":
            return f"{row['variant']}, untrained"
    parts = [row["variant"], row["loss"], row["tricks"]]
    return " · ".join(parts + ([row["plan"]] if with_plan and row["plan"] else []))


def select_shown_rows(part: pd.DataFrame) -> pd.DataFrame:
    """Selects the best cells, the best of each variant, and all references, in order."""
    ranked = part[part["rank"].notna()]
    leaders = ranked.groupby("variant").head(1).index.union(ranked.index[:MAX_CELLS_SHOWN])
    return part[part.index.isin(leaders) | (part["role"] != "trial")]
