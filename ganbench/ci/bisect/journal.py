"""The journal of a bisection: one JSON line per measurement.

A stopped search goes on from it.

    {"question": {...}, "time": ...}
    {"commit": ..., "kind": "exact", "numbers": {...}, "seconds": ..., "time": ...}
    {"commit": ..., "kind": "value", "value": ..., "number": ..., "seconds": ..., "time": ...}
    {"commit": ..., "kind": "skip", "work": "value", "reason": ..., "seconds": ..., "time": ...}

Measurements belong to commits, not to a search. A search between other revisions uses them again.
"""

import math
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ganbench.errors import GanbenchError
from ganbench.files import append_json_line, read_json_lines

Numbers = dict[str, float | None]  # exact numbers by name; None for one that is not finite


class OtherQuestion(GanbenchError, ValueError):
    """The state file belongs to another question."""


class Journal:
    """The measurements of one question, in memory and in a file."""

    def __init__(self, path: Path | None, question: dict[str, Any]):
        self.path, self.question = path, question
        self.records: list[dict[str, Any]] = []
        self.by_commit: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for record in read_journal(path, question) if path else []:
            self.keep(record)

    def add(self, commit: str, kind: str, **facts: Any) -> None:
        record = {"time": time.time(), "commit": commit, "kind": kind, **facts}
        if self.path is not None:
            if not self.path.exists():
                append_json_line(self.path, question=self.question)
            append_json_line(self.path, **record)
        self.keep(record)

    def keep(self, record: dict[str, Any]) -> None:
        self.records.append(record)
        self.by_commit[record["commit"]].append(record)

    def values_of(self, commit: str) -> list[float]:
        """Returns the values of a commit; a failed training has the value infinity."""
        found = self.records_of(commit, "value")
        return [math.inf if r["value"] is None else float(r["value"]) for r in found]

    def exact_of(self, commit: str) -> list[Numbers]:
        return [record["numbers"] for record in self.records_of(commit, "exact")]

    def skip_reason(self, commit: str, work: str) -> str:
        """Returns the reason why this work on a commit failed, or an empty string."""
        skips = self.records_of(commit, "skip")
        return next((r["reason"] for r in skips if r["work"] == work), "")

    def records_of(self, commit: str, kind: str) -> list[dict[str, Any]]:
        return [r for r in self.by_commit.get(commit, ()) if r["kind"] == kind]

    def count_values(self) -> int:
        return sum(record["kind"] == "value" for record in self.records)

    def count_measurements(self, commits: Iterable[str]) -> int:
        """Returns how often these commits were measured, without skipped ones."""
        own = [record for commit in commits for record in self.by_commit.get(commit, ())]
        return sum(record["kind"] != "skip" for record in own)


def read_journal(path: Path, question: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the measurements of a file; raises OtherQuestion for a file of another search."""
    lines = read_json_lines(path)
    for line in lines:
        if "question" in line and line["question"] != question:
            changed = ", ".join(
                key
                for key in {**question, **line["question"]}
                if question.get(key) != line["question"].get(key)
            )
            raise OtherQuestion(
                f"{path} has measurements of another question (other {changed}): "
                "name another --state, or delete it"
            )
    if path.exists() and path.stat().st_size and not any("question" in line for line in lines):
        raise OtherQuestion(f"{path} is no state of a bisection: name another --state")
    return [line for line in lines if line.get("kind") in ("exact", "value", "skip")]
