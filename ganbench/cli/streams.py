"""Standard streams: any encoding and width prints the whole answer, `--json` only JSON."""

import codecs
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import TextIOWrapper
from typing import IO, Any, TextIO

import typer
from rich.console import Console, ConsoleDimensions
from rich.measure import Measurement
from rich.table import Column, Table

from ganbench.errors import escape_control_characters
from ganbench.report.line_wrapping import wrap_line

PIPE_COLUMNS = 100_000  # more than any line
KEPT_VARIABLES = ("TERM", "COLORTERM", "NO_COLOR")  # they change colours only
# ASCII for characters that an encoding lacks; others become \uXXXX.
READABLE = dict(zip("−–—·×’≈▁▂▃▄▅▆▇█", "----x'~_.-~=+*#", strict=True)) | {
    "±": "+-",
    "…": "...",
    "→": "->",
    "↓": "v",
    "↑": "^",
    "≤": "<=",
    "≥": ">=",
    "∞": "inf",
    "‖": "||",
}
JSON_STREAMS: list[TextIO] = []  # the standard output of a command with --json


class StreamConsole(Console):
    """A console that depends on its stream, not on COLUMNS, FORCE_COLOR and the like.

    In a pipe, lines and tables are as wide as their content. In a terminal, names and sentences wrap, but
    numbers, paths and commands are never cut.
    """

    def __init__(self, stderr: bool = False):
        environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        super().__init__(stderr=stderr, highlight=False, emoji=False, _environ=environment)

    @property
    def size(self) -> ConsoleDimensions:
        return super().size if self.is_terminal else ConsoleDimensions(PIPE_COLUMNS, 25)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size

    def print(self, *objects: Any, **options: Any) -> None:
        for table in objects:
            if isinstance(table, Table):
                keep_numbers_whole(table, self)
                options["crop"] = False
        is_wrapped = self.is_terminal and options.get("soft_wrap", False)
        width = self.width if is_wrapped else PIPE_COLUMNS
        texts = (self.prepare_text(o, width) if isinstance(o, str) else o for o in objects)
        super().print(*texts, **options)

    def print_line(self, text: str, style: str | None = None) -> None:
        """Prints a sentence, a path or a command as it is, wrapped at words in a terminal."""
        self.print(text, style=style, markup=False, soft_wrap=True)

    def prepare_text(self, text: str, width: int) -> str:
        lines = escape_control_characters(text).split("\n")
        return "\n".join(wrap_line(line, width) for line in lines)

    def on_broken_pipe(self) -> None:
        """Goes on without output, so that the exit code is still the answer's."""
        discard_output(self.file)


def keep_numbers_whole(table: Table, console: Console) -> None:
    """Widens a table, beyond the console if need be, so that no number or word is cut."""
    wide = console.options.update_width(PIPE_COLUMNS)
    for column in table.columns:
        cells = [Measurement.get(console, wide, cell) for cell in column.cells]
        if is_numeric(column):
            column.no_wrap = True
        widths = [cell.maximum if column.no_wrap else cell.minimum for cell in cells]
        column.min_width = max(widths, default=1) if column.overflow != "fold" else None
    needed = Measurement.get(console, wide, table).minimum
    if needed > console.width:
        table.width = needed


def is_numeric(column: Column) -> bool:
    return column.justify == "right"


def accept_any_encoding() -> None:
    """Makes standard streams print ASCII for characters that their encoding lacks."""
    codecs.register_error("ganbench_readable", replace_unencodable)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="ganbench_readable")


def replace_unencodable(error: UnicodeError) -> tuple[str, int]:
    """Returns ASCII for the characters of an encoding error, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(READABLE.get(c) or escape_character(c) for c in characters), error.end


def escape_character(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode()


def is_utf8(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("_", "-").startswith("utf-8")


def reserve_stdout(context: typer.Context, wanted: bool) -> bool:
    """Reserves standard output for JSON until the program ends, if it is wanted.

    The context of a command does not end if another of its options is wrong; that of the program does.
    """
    if wanted:
        context.find_root().with_resource(stdout_reserved_for_json())
    return wanted


@contextmanager
def stdout_reserved_for_json() -> Iterator[None]:
    """Sends prints to standard error, also those of other code, of C and of child processes."""
    JSON_STREAMS.append(detach_stdout() or sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        JSON_STREAMS.pop()


def detach_stdout() -> TextIO | None:
    """Returns a copy of file 1 and points file 1 at standard error, to the process's end.

    Returns None if standard output is not file 1, such as in tests.
    """
    stream = sys.__stdout__
    if stream is None or stream is not sys.stdout or stream.fileno() != 1:
        return None
    stream.flush()
    copy = os.fdopen(os.dup(1), "w", encoding=stream.encoding, errors=stream.errors)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno() if sys.stderr is None else sys.stderr.fileno(), 1)
    return copy


def restore_stdout() -> None:
    """Points file 1 at standard output again, for a program that replaces this process."""
    if JSON_STREAMS and JSON_STREAMS[-1] is not None:
        os.dup2(JSON_STREAMS[-1].fileno(), 1)


def print_json(content: Any) -> None:
    """Prints JSON to standard output; characters are escaped unless the output is UTF-8."""
    stream = JSON_STREAMS[-1] if JSON_STREAMS else sys.stdout
    if stream is None:
        return
    try:
        stream.write(json.dumps(content, indent=1, ensure_ascii=not is_utf8(stream)) + "\n")
        stream.flush()
    except BrokenPipeError:
        discard_output(stream)


def discard_output(stream: IO[str]) -> None:
    """Discards all further output of a stream after its reader has ended, such as `head`."""
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), stream.fileno())
