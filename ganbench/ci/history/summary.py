"""Formats a history as text: values with units, and change points as sentences."""

import time

from ganbench.counts import format_signed
from ganbench.report.format_change import format_percent

from .records import HistoryEntry
from .series import ChangePoint, Series

UNIT_PREFIXES = {  # scaled units of each unit, the largest first
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")),
    "bytes": ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "bytes")),
}
TREND_CAUTION = (
    "A change point is a hint, not a gate: flat series also raise false alarms. "
    "A change is reported after three values at the earliest."
)


def format_with_unit(value: float, unit: str) -> str:
    """Formats a value like `1.25 ms`, with four digits and a suitable unit."""
    scales = UNIT_PREFIXES.get(unit, ((1.0, unit),))
    size, name = next((scale for scale in scales if abs(value) >= scale[0]), scales[-1])
    return strip_control_characters(f"{format_four_digits(value / size)} {name}".strip())


def format_four_digits(value: float) -> str:
    return format_signed(value, ",.0f" if 1000 <= abs(value) < 1e9 else ".4g")


def strip_control_characters(text: str) -> str:
    """Replaces control characters, which move a terminal's cursor or reverse the text."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def format_step(change: ChangePoint, unit: str) -> str:
    """Formats a change like `+20 %`, or as `before → after` if it has no ratio."""
    if change.ratio is None:
        return f"{format_with_unit(change.before, unit)} → {format_with_unit(change.after, unit)}"
    return format_percent(change.ratio - 1)


def format_change(change: ChangePoint, unit: str) -> str:
    """Formats a change point as a sentence.

    `worse since 3a5b0c1 (2f1e7aa before): 1.2 s → 1.44 s, +20 %; acknowledged: a new default`. Versions
    that changed at the same place follow.
    """
    levels = f"{format_with_unit(change.before, unit)} → {format_with_unit(change.after, unit)}"
    ratio = "" if change.ratio is None else f", {format_step(change, unit)}"
    revisions = f"{strip_control_characters(change.revision)} ({strip_control_characters(change.previous)} before)"
    notes = f"{format_acknowledgement(change)}{format_software(change)}"
    return f"{change.verdict} since {revisions}: {levels}{ratio}; {notes}"


def format_software(change: ChangePoint) -> str:
    if not change.software:
        return ""
    return f"; changed too: {strip_control_characters(', '.join(change.software))}"


def format_acknowledgement(change: ChangePoint) -> str:
    if change.reason is None:
        return "not acknowledged"
    return f"acknowledged: {strip_control_characters(change.reason)}"


def summarize_series(series: Series) -> str:
    """Describes a plot: its number of values, first and last value, and change points."""
    unit, first, last = series.last_entry.unit, series.entries[0], series.last_entry
    counted = "1 value" if len(series.entries) == 1 else f"{len(series.entries)} values"
    ends = f"{format_with_unit(first.value, unit)} at {strip_control_characters(first.revision)}"
    if len(series.entries) > 1:
        ends += (
            f" to {format_with_unit(last.value, unit)} at {strip_control_characters(last.revision)}"
        )
    changes = [format_change(change, unit) for change in series.changes] or ["no change point"]
    return f"{counted}, {series.last_entry.direction} is better: {ends}; {'; '.join(changes)}."


def describe_dates(entry: HistoryEntry) -> str:
    """Returns the date of a value, and for a backfilled one also the date of its measurement."""
    date = format_date(entry.order[0])
    return f"{date} (measured {format_date(entry.time)})" if entry.backfilled else date


def format_date(seconds: float) -> str:
    """Formats a time in UTC, or the number itself if it is outside the calendar."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g}"
