"""Atomic file writes, JSON and JSON lines. Reading never runs code from a file."""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from ganbench.errors import GanbenchError


class CorruptFile(GanbenchError, RuntimeError):
    """A file of the store is damaged."""


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file atomically, through a temporary file that is synced and then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
    write_bytes(path, text.encode() + b"\n")


def read_json(path: Path) -> Any:
    """Returns the JSON object in a file, or None if the file is missing.

    Raises CorruptFile if the file holds anything other than one JSON object.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise CorruptFile(f"{path} is damaged: delete it, and ganbench recomputes its content")
    return content


def read_json_or_none(path: Path) -> Any:
    """Returns the JSON object in a file, or None if the file is missing or corrupt.

    A trial with a corrupt file thus counts as not yet run.
    """
    try:
        return read_json(path)
    except CorruptFile:
        return None


def hash_json(content: Any, digits: int) -> str:
    """Returns the first hexadecimal digits of the SHA-256 of plain data."""
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Returns the records of a JSON-lines file.

    Skips incomplete lines, which a crash can leave.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    records = []
    for line in lines[:-1]:
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


def append_json_line(path: Path, **event: Any) -> None:
    """Appends a record with the current time to a JSON-lines file; several may write at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as file:
        file.write(json.dumps({"time": time.time(), **event}).encode() + b"\n")
