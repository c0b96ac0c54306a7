"""Exports the last value of each series to the formats of Bencher and pytest-benchmark.

Neither format records the machine of a value, so a file holds values of one machine class only.

Bencher Metric Format (https://bencher.dev/docs/reference/bencher-metric-format) has named measures per
benchmark. Seconds become `latency` in nanoseconds, `…/s` becomes `throughput`, and bytes become
`memory`. The measure of a value without a unit is the text after the last `: ` of its benchmark (such
as `fid`), or else `value`. The format of pytest-benchmark only has seconds. All of its statistics are
set to the one value. The interval, the unit and the revision are in `extra_info`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from .records import HistoryEntry
from .series import Series
from .summary import format_date

Document = dict[str, Any]
NANOSECONDS_PER_SECOND = 1e9  # nanoseconds
PYTEST_BENCHMARK_VERSION = "5.1.0"  # the version of pytest-benchmark with this file format


def to_bencher(series: Sequence[Series]) -> Document:
    """Returns `{benchmark: {measure: {"value": …, "lower_value": …, "upper_value": …}}}`."""
    return {
        each.benchmark: {bencher_measure(each.last_entry): bencher_metric(each.last_entry)}
        for each in series
    }


def bencher_measure(entry: HistoryEntry) -> str:
    if entry.unit == "s":
        return "latency"
    if entry.unit.endswith("/s"):
        return "throughput"
    if entry.unit == "bytes":
        return "memory"
    words = entry.unit or (entry.benchmark.rpartition(": ")[2] if ": " in entry.benchmark else "")
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:64] or "value"


def bencher_metric(entry: HistoryEntry) -> Document:
    scale = NANOSECONDS_PER_SECOND if entry.unit == "s" else 1.0
    values = {"value": entry.value, "lower_value": entry.low, "upper_value": entry.high}
    return {name: scale * value for name, value in values.items() if value is not None}


def to_pytest_benchmark(series: Sequence[Series]) -> Document:
    """Returns one run, at the last measured revision, with the series in seconds.

    Raises ValueError if no series is in seconds.
    """
    timed = [each.last_entry for each in series if each.last_entry.unit == "s"]
    if not timed:
        raise ValueError(
            "the format of pytest-benchmark only has seconds, and no series is in seconds"
        )
    latest = max(timed, key=lambda entry: entry.order)
    return {
        "machine_info": machine_info(latest.machine),
        "commit_info": commit_info(latest),
        "benchmarks": [benchmark_record(entry) for entry in timed],
        "datetime": iso_timestamp(latest.time),
        "version": PYTEST_BENCHMARK_VERSION,
    }


def machine_info(machine: str) -> Document:
    """Returns the keys that pytest-benchmark reads, filled in from the machine class."""
    architecture, _, rest = machine.partition(", ")
    return {
        "node": machine,
        "processor": architecture,
        "machine": architecture,
        "python_implementation": "CPython",
        "python_version": "",
        "system": "",
        "release": "",
        "cpu": {"brand_raw": rest},
    }


def commit_info(entry: HistoryEntry) -> Document:
    return {
        "id": entry.revision.removesuffix("+"),
        "dirty": entry.revision.endswith("+"),
        "time": iso_timestamp(entry.order[0]),
        "author_time": iso_timestamp(entry.order[0]),
        "project": "ganbench",
        "branch": "(unknown)",
    }


def benchmark_record(entry: HistoryEntry) -> Document:
    fields = asdict(entry)
    del fields["benchmark"]
    return {
        "group": None,
        "name": entry.benchmark,
        "fullname": entry.benchmark,
        "params": None,
        "param": None,
        "extra_info": fields,
        "options": {"timer": "perf_counter", "disable_gc": False, "warmup": False},
        "stats": statistics_record(entry),
    }


def statistics_record(entry: HistoryEntry) -> Document:
    """Returns statistics from one value, because the history has no spread of the windows."""
    value = entry.value
    same = ("min", "max", "mean", "median", "q1", "q3", "ld15iqr", "hd15iqr")
    none = ("stddev", "iqr", "iqr_outliers", "stddev_outliers")
    return {
        **dict.fromkeys(same, value),
        **dict.fromkeys(none, 0),
        "outliers": "0;0",
        "rounds": entry.count,
        "iterations": 1,
        "total": value * entry.count,
        "ops": 1 / value if value else 0.0,
    }


def iso_timestamp(seconds: float) -> str:
    """Formats a time as ISO 8601 in UTC."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return format_date(seconds)


EXPORT_FORMATS: dict[str, Callable[[Sequence[Series]], Document]] = {
    "bencher": to_bencher,
    "pytest-benchmark": to_pytest_benchmark,
}
