"""Numbers of tables as text, with three digits."""

from typing import Any

import pandas as pd


def format_number(value: float) -> str:
    """Formats a number with three digits, or with all digits before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def format_cell(row: dict[Any, Any], metric: str, interval: bool) -> str:
    """Formats a value as `4.2 [3.1, 5.6]` or `4.2`, or as an empty string."""
    if pd.isna(row[metric]):
        return ""
    if not interval or pd.isna(row[f"{metric} low"]):
        return format_number(row[metric])
    value, low, high = (format_number(row[f"{metric}{end}"]) for end in ("", " low", " high"))
    return f"{value} [{low}, {high}]"
