"""The history as a page: one file with a plot a series, which needs no network and no script."""

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import PackageLoader

from ganbench import __version__
from ganbench.report.page import environment
from ganbench.report.page.plots import Axis, powers, round_steps, with_ticks

from .records import Entry
from .series import ChangePoint, Series
from .summary import CAUTION, date, plain, sentence, shown, step, summary

WIDTH, HEIGHT = 640, 190  # of the plot within its axes, in the SVG's units
LABEL = 12  # letters of a revision that are drawn; all of it stands below
TOLD = 200  # values in the table under a plot; the last ones


@dataclass(frozen=True)
class Dot:
    """A value and its interval, in units of the SVG."""

    x: float
    y: float
    interval: tuple[float, float] | None
    title: str


@dataclass(frozen=True)
class Mark:
    """A change point: a line across the plot, and the revision at its top."""

    x: float
    name: str
    row: int  # names of neighbours stand in two rows
    verdict: str
    acknowledged: bool
    title: str


@dataclass(frozen=True)
class Plot:
    """One series as the template draws it."""

    anchor: str
    series: Series
    about: str  # the plot in words
    last: str
    change: str
    dots: list[Dot]
    levels: list[tuple[float, float, float]]  # from x to x at y
    marks: list[Mark]
    sentences: list[str]
    ticks: list[tuple[float, str]]
    rows: list[tuple[str, ...]]


def page(found: Sequence[Series], notes: Sequence[str] = ()) -> str:
    """The whole file."""
    made = environment().overlay(loader=PackageLoader(__name__.rpartition(".")[0]))
    plots = [plot(each, n) for n, each in enumerate(found)]
    machines = list(dict.fromkeys(each.machine for each in found))
    return made.get_template("history.html").render(
        groups={name: [p for p in plots if p.series.machine == name] for name in machines},
        width=WIDTH,
        height=HEIGHT,
        notes=notes,
        caution=CAUTION,
        version=__version__,
        counts=(len(plots), sum(len(each.changes) for each in found)),
    )


def plot(series: Series, number: int) -> Plot:
    axis, unit = axis_of(series), series.last.unit
    return Plot(
        f"series-{number}",
        series,
        summary(series),
        shown(series.last.value, unit),
        step(series.changes[-1], unit) if series.changes else "",
        [dot(entry, n, series, axis) for n, entry in enumerate(series.entries)],
        [(across(a, series), across(b - 1, series), up(y, axis)) for a, b, y in series.levels()],
        [mark(change, n, series) for n, change in enumerate(series.changes)],
        [sentence(change, unit) for change in series.changes],
        [(HEIGHT * (1 - at / 100), label) for at, label in axis.ticks],
        [row(entry) for entry in series.entries[-TOLD:]],
    )


def axis_of(series: Series) -> Axis:
    """Over all values and intervals; logarithmic where they differ by a factor of ten."""
    ends = [e for entry in series.entries for e in (entry.value, entry.low, entry.high)]
    known = [end for end in ends if end is not None]
    low, high, unit = min(known), max(known), series.last.unit
    if low > 0 and high / low > 10:
        axis = Axis(low / 1.1, high * 1.1, True)
        return with_ticks(axis, powers(axis.low, axis.high), lambda v: shown(v, unit))
    # a tenth of the level at least: noise must not look like mountains
    space = max(0.08 * (high - low), 0.05 * abs(high) - (high - low) / 2) or 1.0
    axis = Axis(low - space, high + space, False)
    return with_ticks(axis, round_steps(axis.low, axis.high), lambda v: shown(v, unit))


def across(place: float, series: Series) -> float:
    """The x of a value: all are equally far apart, and half of that from the sides."""
    return round(WIDTH * (place + 0.5) / len(series.entries), 1)


def up(value: float, axis: Axis) -> float:
    return round(HEIGHT * (1 - axis.place(value) / 100), 1)


def dot(entry: Entry, place: int, series: Series, axis: Axis) -> Dot:
    low, high = (entry.value if end is None else end for end in (entry.low, entry.high))
    interval = (up(low, axis), up(high, axis)) if low < high else None
    title = f"{plain(entry.revision)}: {shown(entry.value, entry.unit)}, {date(entry.time)}"
    return Dot(across(place, series), up(entry.value, axis), interval, title)


def mark(change: ChangePoint, number: int, series: Series) -> Mark:
    name, title = plain(change.revision), sentence(change, series.last.unit)
    name = name if len(name) <= LABEL else f"{name[: LABEL - 1]}…"
    at = across(change.place - 0.5, series)
    return Mark(at, name, number % 2, change.verdict, change.reason is not None, title)


def row(entry: Entry) -> tuple[str, ...]:
    ends = [shown(e, entry.unit) if e is not None else "" for e in (entry.low, entry.high)]
    interval = f"[{', '.join(ends)}]" if any(ends) else ""
    value = shown(entry.value, entry.unit)
    return (date(entry.time), plain(entry.revision), value, interval, plain(entry.software))
