"""Atomic file writes, JSON and JSON lines. Reading never runs code from a file."""

import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, NoReturn, Self, TypeVar

from ganbench.errors import GanbenchError

MAX_NAMED_FILES = 10  # damaged files that one error names
DELETE_FILE = "delete it, and ganbench recomputes its content"
EVENT_NUMBERS = ("time", "step", "progress", "rate", "fid", "process", "run")
MAX_LAST_EVENT_BYTES = 2**16  # at the end of a file, which hold at least one event
Content = TypeVar("Content")


class CorruptFile(GanbenchError, RuntimeError):
    """A file of the store is damaged."""

    @classmethod
    def at(cls, path: Path, why: str = "", remedy: str = DELETE_FILE) -> Self:
        return cls(f"{path} is damaged{f' ({why})' if why else ''}: {remedy}")


def expand_home(text: str | os.PathLike[str]) -> Path:
    """Returns a path with `~` replaced by a home. That of an unknown user stays as it is."""
    return Path(os.path.expanduser(text))


@contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """Yields a folder like `ganbench-perf-…`, and deletes what can be deleted of it."""
    prefix = f"ganbench-{purpose}-"
    with TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file atomically, through a temporary file that is synced and then renamed.

    An OSError, for example of a full disk, names the file.
    """
    write_stream(path, lambda file: file.write(content))


def write_stream(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Writes a file like `write_bytes`; its content need not fit into the memory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = temporary_path(path)
    try:
        with naming_file(path), open(beside, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        with naming_file(path):
            os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Adds the name of a file to errors of writing it."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def sweep_temporary_files(folder: Path) -> None:
    """Deletes temporary files and folders that killed processes of this machine left."""
    ending = f"@{platform.node()}"
    for name in list_folder(folder):
        if not name.startswith(".") or not name.endswith(ending):
            continue
        process = name.removesuffix(ending).rpartition(".")[2]
        if process.isdecimal() and not has_process(int(process)):
            delete_path(folder / name)


def list_folder(folder: Path) -> list[str]:
    """Returns the names in a folder; empty if it is no folder."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def delete_path(path: Path) -> None:
    """Deletes a file, or a folder with its content, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def temporary_path(path: Path) -> Path:
    """Returns a name beside a path that `sweep_temporary_files` recognizes."""
    return path.with_name(f".{path.name}.{os.getpid()}@{platform.node()}")


def write_json(path: Path, content: Any, sort_keys: bool = True) -> None:
    text = json.dumps(content, indent=1, sort_keys=sort_keys, allow_nan=False)
    write_bytes(path, text.encode() + b"\n")


def read_json(path: Path, remedy: str = DELETE_FILE) -> Any:
    """Returns the JSON object in a file, or None if the file is missing.

    Raises CorruptFile if the file holds anything other than one JSON object.
    """
    try:
        with open(path, "rb") as file:
            content = JSON_DECODER.decode(file.read().decode("utf-8-sig"))
    except FileNotFoundError:
        return None
    except OSError as error:  # for example a folder of this name
        raise CorruptFile.at(path, error.strerror or "", remedy) from None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise CorruptFile.at(path, remedy=remedy)
    return content


def refuse_constant(name: str) -> NoReturn:
    """Refuses NaN and infinity, which ganbench never writes."""
    raise ValueError(f"{name} is no JSON")


JSON_DECODER = json.JSONDecoder(parse_constant=refuse_constant)  # one for thousands of files


def read_each(readers: Iterable[Callable[[], Content]]) -> list[Content]:
    """Calls every reader; raises one CorruptFile that names the damaged files of all."""
    return [content for batch in read_in_batches(readers, 1) for content in batch]


def read_in_batches(readers: Iterable[Callable[[], Content]], size: int) -> Iterator[list[Content]]:
    """Calls every reader and yields the contents in lists of this size.

    Raises one CorruptFile at the end, which names the damaged files of all.
    """
    batch: list[Content] = []
    damage = []
    for read in readers:
        try:
            batch.append(read())
        except CorruptFile as error:
            damage.append(str(error))
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
    if damage:
        more = len(damage) - MAX_NAMED_FILES
        rest = [f"and {more} more damaged files"] if more > 0 else []
        raise CorruptFile("\n".join([*damage[:MAX_NAMED_FILES], *rest]))


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

    Skips incomplete lines, which a crash can leave, and lines that are no records of ganbench.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return []
    return parse_json_lines(content)


def parse_json_lines(content: bytes) -> list[dict[str, Any]]:
    records = []
    for line in content.split(b"\n")[:-1]:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            records.append(record)
    return records


def read_events(path: Path) -> list[dict[str, Any]]:
    """Returns the events of a JSON-lines file, without lines that are no events."""
    return [event for event in read_json_lines(path) if is_event(event)]


def read_last_event(path: Path) -> dict[str, Any]:
    """Returns the last event of a JSON-lines file, or an empty dict; reads only its end."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - MAX_LAST_EVENT_BYTES))
            records = parse_json_lines(file.read())
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return {}
    return next(filter(is_event, reversed(records)), {})


def is_event(record: dict[str, Any]) -> bool:
    """Returns whether a record has a time, and numbers where events have numbers."""
    values = [record[key] for key in EVENT_NUMBERS if record.get(key) is not None]
    return record.get("time") is not None and all(isinstance(v, int | float) for v in values)


def append_json_line(path: Path, **event: Any) -> None:
    """Appends a record with the current time to a JSON-lines file; several may write at once."""
    append_whole_lines(path, [json.dumps({"time": time.time(), **event})])


def append_whole_lines(path: Path, lines: Iterable[str]) -> None:
    """Appends lines in a single write, so that lines of other writers do not interleave.

    They follow a new line if the last one is incomplete.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(f"{line}\n" for line in lines).encode()
    with naming_file(path), open(path, "ab", buffering=0) as file:
        content = b"\n" * has_torn_end(path) + content
        while content:  # a full disk or a signal can cut a write short
            content = content[file.write(content) :]


def has_torn_end(path: Path) -> bool:
    """Returns whether the last line lacks its newline, as after a crash."""
    with open(path, "rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def has_process(process: int) -> bool:
    """Returns whether this machine has a process with this id."""
    if process <= 0:  # ids up to 0 address process groups
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # the process belongs to another user
        pass
    return True
