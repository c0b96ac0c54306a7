"""What a history says, in words: values with units, changes, change points as sentences."""

import time

from ganbench.report.findings import percent

from .series import ChangePoint, Series

UNITS = {  # by the unit: those that are read more easily, the largest first
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")),
    "bytes": ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "bytes")),
}
CAUTION = (
    "A trend is a hint where to look, and no gate: a flat series alarms now and then, "
    "and a change is told after three values at the earliest."
)


def shown(value: float, unit: str) -> str:
    """`1.25 ms`: four digits, in a unit that suits."""
    scales = UNITS.get(unit, ((1.0, unit),))
    size, name = next((scale for scale in scales if abs(value) >= scale[0]), scales[-1])
    return plain(f"{number(value / size)} {name}".strip())


def number(value: float) -> str:
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def plain(text: str) -> str:
    """Without what moves a terminal's cursor or turns the direction of reading."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def step(change: ChangePoint, unit: str) -> str:
    """`+20 %`; where there is no ratio, from what to what."""
    if change.ratio is None:
        return f"{shown(change.before, unit)} → {shown(change.after, unit)}"
    return percent(change.ratio - 1)


def sentence(change: ChangePoint, unit: str) -> str:
    """`worse since 3a5b0c1 (2f1e7aa before): 1.2 s → 1.44 s, +20 %; acknowledged: a new default`."""
    levels = f"{shown(change.before, unit)} → {shown(change.after, unit)}"
    ratio = "" if change.ratio is None else f", {step(change, unit)}"
    revisions = f"{plain(change.revision)} ({plain(change.previous)} before)"
    return f"{change.verdict} since {revisions}: {levels}{ratio}; {told(change)}"


def told(change: ChangePoint) -> str:
    if change.reason is None:
        return "not acknowledged"
    return f"acknowledged: {plain(change.reason)}"


def summary(series: Series) -> str:
    """A plot in words: how many values, from where to where, and what changed."""
    unit, first, last = series.last.unit, series.entries[0], series.last
    counted = "1 value" if len(series.entries) == 1 else f"{len(series.entries)} values"
    ends = f"{shown(first.value, unit)} at {plain(first.revision)}"
    if len(series.entries) > 1:
        ends += f" to {shown(last.value, unit)} at {plain(last.revision)}"
    changes = [sentence(change, unit) for change in series.changes] or ["no change point"]
    return f"{counted}, {series.last.direction} is better: {ends}; {'; '.join(changes)}."


def date(seconds: float) -> str:
    """In UTC; of what is no time of this calendar, the number itself."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g}"
