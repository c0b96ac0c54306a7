"""Series: one benchmark on one machine class, with change points and acknowledgements."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from ganbench.analysis.intervals import is_improvement
from ganbench.analysis.verdicts import ComparisonVerdict

from .change_points import MIN_LEVEL_POINTS, find_change_points
from .records import Acknowledgement, HistoryEntry, HistoryFile

Key = tuple[str, str]  # benchmark, machine


@dataclass(frozen=True)
class ChangePoint:
    """A step from one level to another; a level is a median."""

    benchmark: str
    machine: str
    place: int  # index of the first value of the new level
    revision: str  # revision of that value
    previous: str  # revision of the value before it
    before: float
    after: float
    ratio: float | None  # after / before; None unless both are above 0
    verdict: ComparisonVerdict  # better or worse
    reason: str | None  # reason of the acknowledgement; None without one
    software: tuple[str, ...] = ()  # versions that changed too: `torch 2.8.0 → 2.9.1`


@dataclass(frozen=True)
class Series:
    """The entries of one benchmark on one machine class, in the order of their commits."""

    benchmark: str
    machine: str
    entries: list[HistoryEntry]
    changes: list[ChangePoint]

    @property
    def last_entry(self) -> HistoryEntry:
        return self.entries[-1]

    @property
    def values(self) -> list[float]:
        return [entry.value for entry in self.entries]

    def level_spans(self) -> list[tuple[int, int, float]]:
        """Returns the first index, the end index and the median of each level."""
        edges = [0, *(change.place for change in self.changes), len(self.entries)]
        return [(start, end, median(self.values[start:end])) for start, end in pairwise(edges)]


def make_series(history: HistoryFile, find: bool = True) -> list[Series]:
    """Returns all series of a history, ordered by machine and benchmark.

    Raises DetectorNotInstalled if `find` is true and `ruptures` is missing.
    """
    parts: dict[Key, list[HistoryEntry]] = {}
    entries = without_replaced(history.entries)
    for entry in sorted(entries, key=lambda entry: entry.order):
        parts.setdefault((entry.benchmark, entry.machine), []).append(entry)
    ordered = sorted(parts, key=lambda key: (key[1], key[0]))
    return [make_one_series(key, parts[key], history.acknowledgements, find) for key in ordered]


def without_replaced(entries: Sequence[HistoryEntry]) -> list[HistoryEntry]:
    """Returns the entries without those that a backfill with other software measured again."""
    newest: dict[tuple[str, ...], HistoryEntry] = {}
    for entry in sorted(entries, key=lambda entry: entry.time):
        if entry.backfilled:
            newest[entry.benchmark, entry.machine, entry.revision] = entry

    def is_replaced(entry: HistoryEntry) -> bool:
        by = newest.get((entry.benchmark, entry.machine, entry.revision), entry)
        return by.time > entry.time and by.software != entry.software

    return [entry for entry in entries if not is_replaced(entry)]


def make_one_series(
    key: Key, entries: list[HistoryEntry], acknowledgements: list[Acknowledgement], find: bool
) -> Series:
    about = [each for each in acknowledgements if (each.benchmark, each.machine) == key]
    places = find_change_points([entry.value for entry in entries]) if find else []
    edges = [0, *places, len(entries)]
    levels = [median(entry.value for entry in entries[a:b]) for a, b in pairwise(edges)]
    reasons = reasons_by_change(entries, places, about)
    changes = [
        make_change_point(entries, place, before, after, reasons.get(place))
        for place, (before, after) in zip(places, pairwise(levels), strict=True)
    ]
    return Series(*key, entries, changes)


def make_change_point(
    entries: list[HistoryEntry], place: int, before: float, after: float, reason: str | None
) -> ChangePoint:
    first, previous = entries[place], entries[place - 1]
    better = is_improvement(after, first.direction, before)
    return ChangePoint(
        first.benchmark,
        first.machine,
        place,
        first.revision,
        previous.revision,
        before,
        after,
        after / before if min(before, after) > 0 else None,
        ComparisonVerdict.BETTER if better else ComparisonVerdict.WORSE,
        reason,
        tuple(software_changes(previous.software, first.software)),
    )


def software_changes(before: str, after: str) -> Iterator[str]:
    """Yields the versions that differ, among the names on both sides."""
    old, new = versions_by_name(before), versions_by_name(after)
    for name in old:
        if new.get(name, old[name]) != old[name]:
            yield f"{name} {old[name]} → {new[name]}"


def versions_by_name(software: str) -> dict[str, str]:
    """Reads a text such as `torch 2.9.1, Python 3.12.3`."""
    facts = (fact.strip().rpartition(" ") for fact in software.split(","))
    return {name: version for name, _, version in facts if name}


def reasons_by_change(
    entries: Sequence[HistoryEntry], places: list[int], about: list[Acknowledgement]
) -> dict[int, str]:
    """Returns the reasons of acknowledgements, keyed by change point.

    An acknowledgement applies to the change point nearest to its revision; the latest one wins. New
    values can move a change point a little, so the distance may be up to MIN_LEVEL_POINTS - 1 points.
    """
    reasons = {}
    for each in sorted(about, key=lambda each: each.time):
        own = [n for n, entry in enumerate(entries) if entry.revision == each.revision]
        away = {
            place: min((abs(place - n) for n in own), default=MIN_LEVEL_POINTS) for place in places
        }
        nearest = min(away, key=lambda place: away[place], default=None)
        if nearest is not None and away[nearest] < MIN_LEVEL_POINTS:
            reasons[nearest] = each.reason
    return reasons
