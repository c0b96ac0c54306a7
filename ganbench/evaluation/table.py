"""An evaluation as a table: values with their errors and floors, what they mean, and what is to know."""

import io
from typing import Any

from rich.console import Console
from rich.table import Table

WIDTH = 120
HEADINGS = ("metric", "value", "± SE", "floor", "± SE", "by theory", "")


def evaluation_table(told: dict[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in ("metric", "") else "right")
    for row in told["metrics"]:
        keys = ("value", "standard_error", "floor", "floor_standard_error", "expected")
        cells = ["" if row[key] is None else digits(row[key]) for key in keys]
        better = "" if row["reason"] else f"{row['direction']} is better"
        table.add_row(row["metric"], *cells, better)
    return table


def digits(value: float) -> str:
    """Enough of them to cite: two behind the point of a large value, four significant ones of a small."""
    return f"{value:,.2f}" if abs(value) >= 100 else f"{value:.4g}"


def lines(told: dict[str, Any]) -> list[str]:
    """What stands under the table."""
    reasons = [f"{row['metric']}: {row['reason']}." for row in told["metrics"] if row["reason"]]
    floor = [f"Floor: {told['floor']}."] if told["floor"] else []
    notes = [f"- {note}" for note in told["notes"]]
    return [*reasons, *floor, f"Protocol: {told['protocol']['text']}", *notes]


def heading(told: dict[str, Any]) -> str:
    protocol = told["protocol"]
    return f"{told['fake']} ({protocol['fakes']:,}) against {told['real']} ({protocol['reals']:,})"


def show(told: dict[str, Any], console: Console) -> None:
    console.print(heading(told), markup=False, soft_wrap=True)
    console.print()
    console.print(evaluation_table(told), markup=False)
    console.print()
    for line in lines(told):
        console.print(line, markup=False, soft_wrap=True)


def as_text(told: dict[str, Any]) -> str:
    content = io.StringIO()
    show(told, Console(file=content, width=WIDTH, highlight=False))
    return content.getvalue()
