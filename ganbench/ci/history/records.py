"""History records: append-only JSON lines of measurements, acknowledgements and attempts.

    {"schema": 1, "benchmark": …, "machine": …, "value": …, "unit": …, "direction": …, "revision": …,
     "time": …, "software": …, "low": …, "high": …, "count": …, "committed": …, "backfilled": …}
    {"schema": 1, "acknowledge": {"benchmark": …, "machine": …, "revision": …}, "reason": …, "time": …}
    {"schema": 1, "backfill": {"revision": …, "machine": …, "software": …, "work": …, "only": …},
     "failure": …, "time": …}

The file can be kept in git. Lines from two branches merge by keeping both
(`history.jsonl merge=union` in .gitattributes).
"""

import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self, TypeVar

from ganbench.ci.git import commit_time
from ganbench.ci.machine import describe_software
from ganbench.files import append_whole_lines

HISTORY_SCHEMA = 1
ENTRY_DIRECTIONS = ("lower", "higher")  # the better direction
MAX_ABS_VALUE = 1e300
OPTIONAL_NUMBERS = ("low", "high", "committed")
MAY_BE_EMPTY = ("unit", "software", "only", "failure")


@dataclass(frozen=True)
class HistoryEntry:
    """One measurement: its value, its interval, and the number of measurements behind it."""

    benchmark: str
    machine: str  # machine class, see ganbench.ci.machine
    value: float
    unit: str
    direction: str  # lower or higher is better
    revision: str
    time: float  # seconds since 1970
    software: str = ""
    low: float | None = None
    high: float | None = None
    count: int = 1
    committed: float | None = None  # seconds since 1970 of the commit; None if unknown
    backfilled: bool = False  # whether it was measured later, from the sources of its commit

    @property
    def order(self) -> tuple[float, float]:
        """The place in a series: by commit, and by measurement within a commit."""
        return (self.time if self.committed is None else self.committed), self.time


@dataclass(frozen=True)
class MeasuredAt:
    """Machine, commit, time and software, which all values of one measurement share."""

    machine: str
    revision: str
    time: float
    software: str
    committed: float | None

    @classmethod
    def here(cls, machine: str, revision: str) -> Self:
        """Describes a measurement that ends now, of a commit of the repository in this folder."""
        committed = commit_time(Path.cwd(), revision)
        return cls(machine, revision, time.time(), describe_software(), committed)

    def entry(self, benchmark: str, value: float, direction: str, **others: Any) -> HistoryEntry:
        """Returns the record of one value."""
        facts = {"benchmark": benchmark, "value": value, "direction": direction, "unit": ""}
        return HistoryEntry(**vars(self), **{**facts, **others})


@dataclass(frozen=True)
class Acknowledgement:
    """The acceptance of a change at a revision, with the reason."""

    benchmark: str
    machine: str
    revision: str
    reason: str
    time: float


@dataclass(frozen=True)
class BackfillAttempt:
    """One kind of work on an old commit, with the reason of a failure."""

    revision: str
    machine: str
    software: str
    work: str  # counts, instructions or times
    only: str  # the words that chose benchmarks; empty for all
    failure: str  # empty for a measured commit
    time: float


Record = HistoryEntry | Acknowledgement | BackfillAttempt
NESTED_KINDS: dict[str, type[Record]] = {
    "acknowledge": Acknowledgement,
    "backfill": BackfillAttempt,
}
TOP_LEVEL_FIELDS = ("reason", "failure", "time")  # of nested kinds
AnyRecord = TypeVar("AnyRecord", bound=Record)


@dataclass(frozen=True)
class HistoryFile:
    """The records of a file in their order, and sentences about its other lines."""

    entries: list[HistoryEntry]
    acknowledgements: list[Acknowledgement]
    attempts: list[BackfillAttempt]
    notes: list[str]


def append_records(path: Path, records: Iterable[Record]) -> None:
    """Appends records, all or none; raises ValueError for an invalid one."""
    append_lines(path, [content_of(check_record(each)) for each in records])


def content_of(record: Record) -> dict[str, Any]:
    """Returns the JSON object of a record's line."""
    content = asdict(record)
    for key, kind in NESTED_KINDS.items():
        if isinstance(record, kind):
            outer = {name: content.pop(name) for name in TOP_LEVEL_FIELDS if name in content}
            content = {key: content, **outer}
    return {"schema": HISTORY_SCHEMA, **content}


def append_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    if lines:
        append_whole_lines(path, [json.dumps(each, allow_nan=False) for each in lines])


def read_history(path: Path) -> HistoryFile:
    """Reads a history file.

    Invalid lines are skipped and counted. An incomplete last line is not an error.
    """
    try:
        *lines, last = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        lines, last = [], b""
    if parse_record(last)[0]:  # complete except for its newline
        lines.append(last)
    records: list[Record] = []
    wrong: Counter[str] = Counter()
    for line in filter(None, map(bytes.strip, lines)):
        record, later = parse_record(line)
        if record:
            records.append(record)
        wrong["later"] += later
        wrong["none"] += not record
    return HistoryFile(
        [each for each in records if isinstance(each, HistoryEntry)],
        [each for each in records if isinstance(each, Acknowledgement)],
        [each for each in records if isinstance(each, BackfillAttempt)],
        describe_wrong_lines(path, wrong),
    )


def describe_wrong_lines(path: Path, wrong: Counter[str]) -> list[str]:
    sentences = []
    if count := wrong["none"]:
        sentences.append(f"{path}: {format_line_count(count)} invalid and skipped")
    if count := wrong["later"]:
        sentences.append(
            f"{path}: {format_line_count(count)} from a later ganbench; new fields are not shown"
        )
    return sentences


def format_line_count(count: int) -> str:
    return "1 line is" if count == 1 else f"{count} lines are"


def parse_record(line: bytes) -> tuple[Record | None, bool]:
    """Returns a line's record (None if invalid), and whether it is from a later ganbench."""
    try:
        content = json.loads(line)
        schema = content["schema"]
        if type(schema) is not int or schema < HISTORY_SCHEMA:
            return None, False
        kind: type[Record] = HistoryEntry
        given = {key: value for key, value in content.items() if key != "schema"}
        for key in NESTED_KINDS.keys() & given.keys():
            kind, given = NESTED_KINDS[key], {**given.pop(key), **given}
        names = {field.name for field in fields(kind)}
        record_fields = {key: value for key, value in given.items() if key in names}
        return check_record(kind(**record_fields)), schema > HISTORY_SCHEMA or len(
            record_fields
        ) < len(given)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None, False


def check_record(record: AnyRecord) -> AnyRecord:
    """Returns the record unchanged; raises ValueError if a field is invalid."""
    for name, value in asdict(record).items():
        check_field(name, value)
    if isinstance(record, HistoryEntry):
        low, high = (record.value if end is None else end for end in (record.low, record.high))
        if low > high:
            raise ValueError(f"low {low} is above high {high}: swap them")
    return record


def check_field(name: str, value: object) -> None:
    """Raises ValueError if a field of a record cannot have this value."""
    if name in ("value", "time") or (name in OPTIONAL_NUMBERS and value is not None):
        if not is_safe_number(value):
            raise ValueError(f"{name} is {value!r}: give a finite number")
    elif name == "backfilled":
        if not isinstance(value, bool):
            raise ValueError(f"backfilled is {value!r}: give true or false")
    elif name == "count":
        if type(value) is not int or value < 1:
            raise ValueError(f"count is {value!r}: give the number of measurements, 1 or more")
    elif name == "direction":
        if value not in ENTRY_DIRECTIONS:
            raise ValueError(f"direction is {value!r}: give lower or higher, whichever is better")
    elif name in OPTIONAL_NUMBERS:
        return
    elif not isinstance(value, str) or not (value.strip() or name in MAY_BE_EMPTY):
        raise ValueError(f"{name} is {value!r}: give a text that is not empty")
    else:
        value.encode()  # raises for a lone surrogate, which JSON can hold but no output can print


def is_safe_number(value: object) -> bool:
    """Returns whether a value is a number so small that sums of a few stay finite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= MAX_ABS_VALUE
