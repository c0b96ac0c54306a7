"""The scores file of a checkpoint or a floor as stored: its schema and its reader.

This module imports no torch, so that tables and states can be read at once.
"""

from pathlib import Path
from typing import Any

from pydantic import model_validator

from ganbench.files import CorruptFile, hash_json
from ganbench.records import Record, read_record

PROTOCOL_ID_DIGITS = 12


class ReadingRecord(Record):
    """The reading of a metric: a value, or the reason why there is none."""

    version: int
    value: float | None = None
    standard_error: float | None = None
    expected: float | None = None
    reason: str | None = None

    @model_validator(mode="after")
    def check_content(self) -> "ReadingRecord":
        if self.value is None and self.reason is None:
            raise ValueError("a reading has neither a value nor a reason")
        return self


class ScoresRecord(Record):
    """The readings of one checkpoint or floor under one protocol."""

    protocol: dict[str, Any]
    metrics: dict[str, ReadingRecord]


def read_scores(path: Path) -> dict[str, Any] | None:
    """Returns the content of a scores file, or None if it is missing.

    Raises CorruptFile if it has another shape, or is of another protocol than its name.
    """
    content = read_record(path, ScoresRecord)
    own_id = path.stem.partition("-")[0]
    if content and hash_json(content["protocol"], PROTOCOL_ID_DIGITS) != own_id:
        raise CorruptFile.at(path, "it is of another protocol than its name")
    return content
