"""Files that commands of CI write; an error of writing does not change their verdict."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .base import describe_file_error, err


@contextmanager
def report_write_errors() -> Iterator[None]:
    """Prints an error of writing; the exit code stays that of the verdict."""
    try:
        yield
    except OSError as error:
        err.print_line(describe_file_error(error))


def append_text(path: Path, text: str) -> None:
    """Appends a text to a file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def save_verdict(path: Path | None, record: Any) -> None:
    """Writes the JSON of a verdict, if a file is given."""
    from ganbench.ci.verdict_records import write_verdict

    with report_write_errors():
        write_verdict(path, record)
