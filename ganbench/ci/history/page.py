"""Renders the history as one HTML file with a plot per series, without network or scripts."""

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import PackageLoader

from ganbench import __version__
from ganbench.report.page import template_environment
from ganbench.report.page.plots import PercentAxis, linear_ticks, logarithmic_ticks, make_axis

from .records import HistoryEntry
from .series import ChangePoint, Series
from .summary import (
    TREND_CAUTION,
    describe_dates,
    format_change,
    format_step,
    format_with_unit,
    strip_control_characters,
    summarize_series,
)

WIDTH, HEIGHT = 640, 190  # size of the plot area, in units of the SVG
MAX_LABEL_CHARACTERS = 12  # maximum length of a revision in the plot; the table has all of it
MAX_LISTED_VALUES = 200  # rows of the table under a plot; the last values


@dataclass(frozen=True)
class PlotDot:
    """A value and its interval, in units of the SVG."""

    x: float
    y: float
    interval: tuple[float, float] | None
    title: str


@dataclass(frozen=True)
class ChangeMark:
    """A change point: a vertical line with the revision at its top."""

    x: float
    name: str
    row: int  # 0 or 1: neighbouring names alternate between two rows
    verdict: str
    acknowledged: bool
    title: str


@dataclass(frozen=True)
class SeriesPlot:
    """One series in the form that the template needs."""

    anchor: str
    series: Series
    about: str  # text alternative of the plot
    last: str
    change: str
    dots: list[PlotDot]
    levels: list[tuple[float, float, float]]  # first x, last x, y
    marks: list[ChangeMark]
    sentences: list[str]
    ticks: list[tuple[float, str]]
    rows: list[tuple[str, ...]]


def render_history_page(series: Sequence[Series], notes: Sequence[str] = ()) -> str:
    """Returns the whole HTML file."""
    environment_with_templates = template_environment().overlay(
        loader=PackageLoader(__name__.rpartition(".")[0])
    )
    plots = [make_plot(each, n) for n, each in enumerate(series)]
    machines = list(dict.fromkeys(each.machine for each in series))
    return environment_with_templates.get_template("history.html").render(
        groups={name: [p for p in plots if p.series.machine == name] for name in machines},
        width=WIDTH,
        height=HEIGHT,
        notes=notes,
        caution=TREND_CAUTION,
        version=__version__,
        counts=(len(plots), sum(len(each.changes) for each in series)),
    )


def make_plot(series: Series, number: int) -> SeriesPlot:
    axis, unit = series_axis(series), series.last_entry.unit
    return SeriesPlot(
        f"series-{number}",
        series,
        summarize_series(series),
        format_with_unit(series.last_entry.value, unit),
        format_step(series.changes[-1], unit) if series.changes else "",
        [make_dot(entry, n, series, axis) for n, entry in enumerate(series.entries)],
        [
            (x_of_place(a, series), x_of_place(b - 1, series), y_of_value(y, axis))
            for a, b, y in series.level_spans()
        ],
        [make_mark(change, n, series) for n, change in enumerate(series.changes)],
        [format_change(change, unit) for change in series.changes],
        [(HEIGHT * (1 - at / 100), label) for at, label in axis.ticks],
        [plot_row(entry) for entry in series.entries[-MAX_LISTED_VALUES:]],
    )


def series_axis(series: Series) -> PercentAxis:
    """Returns an axis over all values and intervals, logarithmic if they span a factor of ten."""
    ends = [e for entry in series.entries for e in (entry.value, entry.low, entry.high)]
    finite_ends = [end for end in ends if end is not None]
    low, high, unit = min(finite_ends), max(finite_ends), series.last_entry.unit
    if low > 0 and high / low > 10:
        axis = PercentAxis(low / 1.1, high * 1.1, True)
        return make_axis(
            axis, logarithmic_ticks(axis.low, axis.high), lambda v: format_with_unit(v, unit)
        )
    # cover at least a tenth of the level, so that noise does not look large
    space = max(0.08 * (high - low), 0.05 * abs(high) - (high - low) / 2) or 1.0
    axis = PercentAxis(low - space, high + space, False)
    return make_axis(axis, linear_ticks(axis.low, axis.high), lambda v: format_with_unit(v, unit))


def x_of_place(place: float, series: Series) -> float:
    """Returns the x of a value; values are equally spaced, with half a space at both sides."""
    return round(WIDTH * (place + 0.5) / len(series.entries), 1)


def y_of_value(value: float, axis: PercentAxis) -> float:
    return round(HEIGHT * (1 - axis.place(value) / 100), 1)


def make_dot(entry: HistoryEntry, place: int, series: Series, axis: PercentAxis) -> PlotDot:
    low, high = (entry.value if end is None else end for end in (entry.low, entry.high))
    interval = (y_of_value(low, axis), y_of_value(high, axis)) if low < high else None
    value = format_with_unit(entry.value, entry.unit)
    title = f"{strip_control_characters(entry.revision)}: {value}, {describe_dates(entry)}"
    return PlotDot(x_of_place(place, series), y_of_value(entry.value, axis), interval, title)


def make_mark(change: ChangePoint, number: int, series: Series) -> ChangeMark:
    title = format_change(change, series.last_entry.unit)
    name = strip_control_characters(change.revision)
    name = name if len(name) <= MAX_LABEL_CHARACTERS else f"{name[: MAX_LABEL_CHARACTERS - 1]}…"
    at = x_of_place(change.place - 0.5, series)
    return ChangeMark(at, name, number % 2, change.verdict, change.reason is not None, title)


def plot_row(entry: HistoryEntry) -> tuple[str, ...]:
    ends = [
        format_with_unit(e, entry.unit) if e is not None else "" for e in (entry.low, entry.high)
    ]
    interval = f"[{', '.join(ends)}]" if any(ends) else ""
    value = format_with_unit(entry.value, entry.unit)
    return (
        describe_dates(entry),
        strip_control_characters(entry.revision),
        value,
        interval,
        strip_control_characters(entry.software),
    )
