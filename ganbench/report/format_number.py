"""Numbers of tables as text, with three digits and a minus sign for people."""

from typing import Any

import pandas as pd

from ganbench.counts import MINUS, format_signed


def format_number(value: float) -> str:
    """Formats a number with three digits, or with all digits before the point."""
    return format_signed(value, ",.0f" if abs(value) >= 100 else ".3g")


def format_error(error: float) -> str:
    """Formats a standard error with two digits: `± 0.061`."""
    return f"± {format_signed(error, '.2g')}"


def is_visible_error(error: float, value: float) -> bool:
    """Returns whether a standard error is not lost beside the digits of its value."""
    return error > 1e-4 * abs(value)


def format_p(p: float) -> str:
    """Formats a p-value with two digits: `0.00015`, `1e−07`."""
    return format_signed(p, ".2g")


def latex_minus(text: str) -> str:
    """Returns a text for LaTeX, where a minus is `$-$`."""
    return text.replace(MINUS, "$-$")


def format_cell(row: dict[Any, Any], metric: str, interval: bool) -> str:
    """Formats a value as `4.2 [3.1, 5.6]` or `4.2`, or as an empty string."""
    if pd.isna(row[metric]):
        return ""
    if not interval or pd.isna(row[f"{metric} low"]):
        return format_number(row[metric])
    value, low, high = (format_number(row[f"{metric}{end}"]) for end in ("", " low", " high"))
    return f"{value} [{low}, {high}]"
