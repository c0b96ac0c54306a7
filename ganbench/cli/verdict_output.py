"""Files that commands of CI write beside their verdict."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import typer

from ganbench.files import naming_file

from .base import FAILED, describe_file_error, err

Write = Callable[[], None]


def end_with_files(code: int, *writes: Write) -> NoReturn:
    """Writes the files of a verdict, and ends the program with its exit code.

    Errors of writing are printed. They turn 0 into FAILED, since CI reads these files; a proven regression
    and a gate that cannot decide keep their codes.
    """
    written = [try_write(write) for write in writes]
    raise typer.Exit(code or (0 if all(written) else FAILED))


def try_write(write: Write) -> bool:
    """Returns whether a file was written; prints an error."""
    try:
        write()
    except OSError as error:
        err.print_line(describe_file_error(error))
        return False
    return True


def append_text(path: Path, text: str) -> None:
    """Appends a text to a file."""
    with naming_file(path), path.open("a", encoding="utf-8") as file:
        file.write(text)


def save_verdict(path: Path | None, record: Any) -> None:
    """Writes the JSON of a verdict, if a file is given."""
    from ganbench.ci.verdict_records import write_verdict

    write_verdict(path, record)
