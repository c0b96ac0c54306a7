"""The leaderboard in a terminal: readable at 80 columns, plain when it is not one."""

from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ganbench.analysis.leaderboard import leaderboard

from .findings import findings, name_of
from .markdown import budget, cell, measured, number, tie

SHOWN = 12  # cells a data set: the rest stands in the file


def show(frame: pd.DataFrame, console: Console) -> None:
    """Prints a table a data set, and the findings under them."""
    plan, board = frame.attrs["plan"], leaderboard(frame)
    for data, part in board.groupby("data", sort=False):
        console.print(table(plan, str(data), part))
        hidden = part["rank"].notna().sum() - shown(part)["rank"].notna().sum()
        if hidden:
            console.print(f"… and {hidden} more cells in leaderboard.md", highlight=False)
    console.print(f"Budget: {budget(plan)}.", highlight=False, markup=False)
    for line in findings(frame):
        console.print(line, style="bold", highlight=False, markup=False)


def table(plan: dict[str, Any], data: str, part: pd.DataFrame) -> Table:
    outcome = plan["analysis"]["outcome"]
    modes = next((metric for metric in plan["metrics"] if metric.startswith("modes")), None)
    title = f"{plan['suite']}: {data}"
    found = Table(title=escape(title), box=SIMPLE_HEAD, title_justify="left", padding=(0, 1))
    found.add_column("#", justify="right")
    found.add_column("variant · loss · tricks")
    found.add_column(f"{name_of(outcome)} [95 %]", justify="right", no_wrap=True)
    found.add_column("modes", justify="right")
    found.add_column("n", justify="right")
    plans = part[part["role"] == "trial"].groupby("variant")["plan"].nunique()
    for row in shown(part).to_dict("records"):
        coverage = "" if modes is None or pd.isna(row[modes]) else number(row[modes])
        cells = [
            rank(row),
            named(row, bool((plans > 1).any())),
            cell(row, outcome, True),
            coverage,
            measured(row),
        ]
        style = None if row["role"] == "trial" else "dim"
        found.add_row(*(escape(text) for text in cells), style=style)
    return found


def rank(row: dict[Any, Any]) -> str:
    return "" if row["role"] != "trial" or pd.isna(row["rank"]) else f"{row['rank']}{tie(row)}"


def named(row: dict[Any, Any], with_plan: bool) -> str:
    """`dcgan · hinge · r1`, or what a reference is; the plan where a variant has several."""
    match row["role"]:
        case "floor":
            return "floor: held-out data"
        case "theory":
            return "floor: by theory"
        case "untrained":
            return f"{row['variant']}, untrained"
    parts = [row["variant"], row["loss"], row["tricks"]]
    return " · ".join(parts + ([row["plan"]] if with_plan and row["plan"] else []))


def shown(part: pd.DataFrame) -> pd.DataFrame:
    """The best cells, the best of each variant, and all references, in the order of the board."""
    ranked = part[part["rank"].notna()]
    leaders = ranked.groupby("variant").head(1).index.union(ranked.index[:SHOWN])
    return part[part.index.isin(leaders) | (part["role"] != "trial")]
