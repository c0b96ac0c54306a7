"""The floor of a data set for each metric: the best score to expect of a generator."""

from typing import Any

from rich.table import Table

from ganbench.evaluation.evaluator import Evaluator
from ganbench.evaluation.metrics.base import Measurement

from .format_number import format_number

FLOOR_HEADINGS = ("metric", "floor", "± SE", "by theory", "")


def measure_floor_rows(evaluator: Evaluator, metrics: tuple[str, ...]) -> list[dict[str, Any]]:
    """Measures the floor of each metric.

    A row has the score of held-out data, its standard error, and the expected score by theory.
    """
    readings, expected = evaluator.measure_floor(metrics), evaluator.expected_floors(metrics)
    return [
        {"metric": metric, "expected": expected[metric], **floor_entry(reading)}
        for metric, reading in readings.items()
    ]


def floor_entry(reading: Measurement | str) -> dict[str, Any]:
    if isinstance(reading, str):
        return {"value": None, "standard_error": None, "reason": reading}
    return {"value": reading.value, "standard_error": reading.standard_error, "reason": ""}


def render_floor_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in FLOOR_HEADINGS:
        table.add_column(heading, justify="left" if heading in ("metric", "") else "right")
    for row in rows:
        cells = [format_optional(row[key]) for key in ("value", "standard_error", "expected")]
        table.add_row(row["metric"], *cells, row["reason"])
    return table


def format_optional(value: float | None) -> str:
    return "" if value is None else format_number(value)
