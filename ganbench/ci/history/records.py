"""Records of the history: JSON lines that are only ever appended, measurements and acknowledgements.

    {"schema": 1, "benchmark": …, "machine": …, "value": …, "unit": …, "direction": …, "revision": …,
     "time": …, "software": …, "low": …, "high": …, "count": …}
    {"schema": 1, "acknowledge": {"benchmark": …, "machine": …, "revision": …}, "reason": …, "time": …}

Such a file may lie in git: lines that two branches appended can be merged by keeping both
(`history.jsonl merge=union` in .gitattributes).
"""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

HISTORY_SCHEMA = 1
ENTRY_DIRECTIONS = ("lower", "higher")  # which is better
UNKNOWN_REVISION = "unknown"
MAX_ABS_VALUE = 1e300


@dataclass(frozen=True)
class HistoryEntry:
    """One measurement: the value, the interval that it surely lies in, and of how many it is made."""

    benchmark: str
    machine: str  # its class, see ganbench.ci.machine
    value: float
    unit: str
    direction: str  # lower or higher is better
    revision: str
    time: float  # seconds since 1970
    software: str = ""
    low: float | None = None
    high: float | None = None
    count: int = 1


@dataclass(frozen=True)
class Acknowledgement:
    """Somebody's word that the change from this revision on is known, and why it may stay."""

    benchmark: str
    machine: str
    revision: str
    reason: str
    time: float


Record = HistoryEntry | Acknowledgement
AnyRecord = TypeVar("AnyRecord", bound=Record)


@dataclass(frozen=True)
class HistoryFile:
    """What a file holds, in its order, and sentences on what it holds besides."""

    entries: list[HistoryEntry]
    acknowledgements: list[Acknowledgement]
    told: list[str]


def append_entries(path: Path, entries: Iterable[HistoryEntry]) -> None:
    """Adds measurements, all or none of them; raises ValueError at what is none."""
    append_record_lines(
        path, [{"schema": HISTORY_SCHEMA, **asdict(check_record(entry))} for entry in entries]
    )


def append_acknowledgements(path: Path, acknowledgements: Iterable[Acknowledgement]) -> None:
    """Adds acknowledgements; raises ValueError at one without a reason."""
    lines = []
    for each in acknowledgements:
        about = asdict(check_record(each))
        reason, time = about.pop("reason"), about.pop("time")
        lines.append(
            {"schema": HISTORY_SCHEMA, "acknowledge": about, "reason": reason, "time": time}
        )
    append_record_lines(path, lines)


def append_record_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    """Appends in one call of the system, which no other writer comes between."""
    if not lines:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    content = b"".join(json.dumps(each, allow_nan=False).encode() + b"\n" for each in lines)
    with open(path, "ab", buffering=0) as file:
        content = b"\n" * has_torn_end(path) + content
        while content:  # a full disk or a signal can cut a write short
            content = content[file.write(content) :]


def has_torn_end(path: Path) -> bool:
    """Did a crash leave a last line without its end? The next one must not go on in it."""
    with open(path, "rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def read_entries(path: Path) -> list[HistoryEntry]:
    """The measurements of a file in its order; none if there is no such file."""
    return read_history(path).entries


def read_history(path: Path) -> HistoryFile:
    """All of a file. Lines that are no record are left out and counted; a torn last one is no error."""
    try:
        *lines, last = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        lines, last = [], b""
    if parse_record(last)[0]:  # whole, but for its end
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
        describe_wrong_lines(path, wrong),
    )


def describe_wrong_lines(path: Path, wrong: Counter[str]) -> list[str]:
    sentences = []
    if count := wrong["none"]:
        sentences.append(f"{path}: {format_line_count(count)} no record and left out")
    if count := wrong["later"]:
        sentences.append(
            f"{path}: {format_line_count(count)} of a later ganbench; what it added is not shown"
        )
    return sentences


def format_line_count(count: int) -> str:
    return "1 line is" if count == 1 else f"{count} lines are"


def parse_record(line: bytes) -> tuple[Record | None, bool]:
    """The record of a line, if it is one, and whether it holds what only a later ganbench knows."""
    try:
        content = json.loads(line)
        schema = content["schema"]
        if type(schema) is not int or schema < HISTORY_SCHEMA:
            return None, False
        kind: type[Record] = HistoryEntry
        given = {key: value for key, value in content.items() if key != "schema"}
        if "acknowledge" in given:
            kind, given = Acknowledgement, {**given.pop("acknowledge"), **given}
        names = {field.name for field in fields(kind)}
        record_fields = {key: value for key, value in given.items() if key in names}
        return check_record(kind(**record_fields)), schema > HISTORY_SCHEMA or len(
            record_fields
        ) < len(given)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None, False


def check_record(record: AnyRecord) -> AnyRecord:
    """The same one; raises ValueError if it could not be shown."""
    for name, value in asdict(record).items():
        check_field(name, value)
    if isinstance(record, HistoryEntry):
        low, high = (record.value if end is None else end for end in (record.low, record.high))
        if low > high:
            raise ValueError(f"low {low} is above high {high}: swap them")
    return record


def check_field(name: str, value: object) -> None:
    """Raises ValueError if that field of a record can have no such value."""
    if name in ("value", "time") or (name in ("low", "high") and value is not None):
        if not is_safe_number(value):
            raise ValueError(f"{name} is {value!r}: give a finite number")
    elif name == "count":
        if type(value) is not int or value < 1:
            raise ValueError(f"count is {value!r}: give how many the value is made of, 1 or more")
    elif name == "direction":
        if value not in ENTRY_DIRECTIONS:
            raise ValueError(f"direction is {value!r}: give lower or higher, whichever is better")
    elif name in ("low", "high"):
        return
    elif not isinstance(value, str) or not (value.strip() or name in ("unit", "software")):
        raise ValueError(f"{name} is {value!r}: give a text that is not empty")
    else:
        value.encode()  # half a surrogate pair, which JSON can hold, could not be printed


def is_safe_number(value: object) -> bool:
    """Finite, and so are sums and differences of a few such."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= MAX_ABS_VALUE


def current_revision(folder: Path) -> str:
    """Twelve digits of the hash of what is checked out there, with a + if a tracked file differs from it."""
    command = [
        "git",
        "--no-optional-locks",
        "describe",
        "--always",
        "--abbrev=12",
        "--exclude=*",
        "--dirty=+",
    ]
    try:
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return UNKNOWN_REVISION
    return result.stdout.strip() if result.returncode == 0 else UNKNOWN_REVISION
