"""An evaluation as text: a table of values, errors and floors, and the lines below it."""

import io
from typing import Any

from rich.console import Console
from rich.table import Table

from ganbench.counts import format_signed

TEXT_COLUMNS = 10_000  # of a table that is not in a terminal, so that no number is cut
MAX_WHOLE = 1e15  # from which on digits before the point are no longer exact
EVALUATION_HEADINGS = ("metric", "value", "± SE", "floor", "± SE", "by theory")
NO_THEORY = "Blank by theory: no formula fits the metric and these counts."
ARROWS = {"lower": "↓", "higher": "↑"}  # of the better direction


def evaluation_table(evaluation: dict[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in EVALUATION_HEADINGS:
        table.add_column(heading, justify="left" if heading == "metric" else "right")
    for row in evaluation["metrics"]:
        keys = ("value", "standard_error", "floor", "floor_standard_error", "expected")
        cells = ["" if row[key] is None else format_citable(row[key]) for key in keys]
        table.add_row(f"{row['name']} {ARROWS[row['direction']]}", *cells)
    return table


def format_citable(value: float) -> str:
    """Formats four significant digits, 100.04 in two decimals, 2,028,779 in whole numbers."""
    size = abs(value)
    if 100 <= size < 1000:
        return format_signed(value, ".2f")
    return format_signed(value, ",.0f" if 1000 <= size < MAX_WHOLE else ".4g")


def evaluation_lines(evaluation: dict[str, Any]) -> list[str]:
    """Returns the lines below the table.

    They are reasons, features, floor, blanks, protocol and notes.
    """
    reasons = [
        f"{row['metric']}: {row['reason']}." for row in evaluation["metrics"] if row["reason"]
    ]
    warning = [f"{evaluation['warning']}."] if evaluation["warning"] else []
    floor = [f"Floor: {evaluation['floor']}."] if evaluation["floor"] else []
    measured = [row for row in evaluation["metrics"] if row["value"] is not None]
    blanks = [NO_THEORY] if any(row["expected"] is None for row in measured) else []
    notes = [f"- {note}" for note in evaluation["notes"]]
    return [
        *reasons,
        *warning,
        *floor,
        *blanks,
        f"Protocol: {evaluation['protocol']['text']}",
        *notes,
    ]


def evaluation_heading(evaluation: dict[str, Any]) -> str:
    protocol = evaluation["protocol"]
    fakes, reals = (f"{protocol[s]:,}" if protocol[s] else "statistics" for s in ("fakes", "reals"))
    return f"{evaluation['fake']} ({fakes}) against {evaluation['real']} ({reals})"


def print_evaluation_table(evaluation: dict[str, Any], console: Console) -> None:
    console.print(evaluation_heading(evaluation), markup=False, soft_wrap=True)
    console.print()
    console.print(evaluation_table(evaluation), markup=False)
    console.print()
    for line in evaluation_lines(evaluation):
        console.print(line, markup=False, soft_wrap=True)


def evaluation_text(evaluation: dict[str, Any]) -> str:
    content = io.StringIO()
    print_evaluation_table(evaluation, Console(file=content, width=TEXT_COLUMNS, highlight=False))
    return content.getvalue()
