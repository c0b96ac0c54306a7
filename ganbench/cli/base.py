"""The program object with its consoles, and its errors as sentences."""

import errno
import os
import select
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from ganbench.errors import GanbenchError, NotDownloaded
from ganbench.registry import describe_exception, find_plugin_part

from .streams import StreamConsole, discard_output

COMMAND_SECTIONS = {  # of the program's help
    "Everyday": (
        "run",
        "plan",
        "status",
        "report",
        "show",
        "compare",
        "claim",
        "eval",
        "fid",
        "list",
    ),
    "Steer": ("watch", "logs", "why"),
    "Stores": ("export", "merge", "clean"),
    "Measure": ("measure", "floor"),
    "Look": ("samples", "interpolate", "neighbours", "styles", "study"),
    "Guard": ("check", "gate", "baseline", "perf", "bisect", "history"),
    "Parts": ("new", "download", "pack", "doctor"),
}
USAGE, FAILED, INTERNAL, INTERRUPTED = 2, 4, 5, 130
STDOUT_FILE = 1
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


# Ends of a command that are no errors of other code.
OWN_ENDINGS = (typer.Exit, typer.Abort, KeyboardInterrupt, BrokenPipeError)


@contextmanager
def own_exit_codes() -> Iterator[None]:
    """Ends the program at errors that typer would end with 1, the exit code of a regression."""
    try:
        yield
    except EOFError as error:
        print_internal_error(error)
        raise typer.Exit(INTERNAL) from error
    except BrokenPipeError as error:
        if not is_reader_gone():
            fail(describe_file_error(error), FAILED)
        discard_output(sys.stdout)
        raise typer.Exit(0) from error


def is_reader_gone() -> bool:
    """Returns whether the reader of standard output, such as `head`, has ended."""
    if not hasattr(select, "poll"):  # on Windows
        return True
    streams = select.poll()
    streams.register(STDOUT_FILE, 0)  # for errors alone
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in streams.poll(0))


def print_internal_error(error: Exception) -> None:
    """Prints an unexpected error as one line, or as a traceback if GANBENCH_TRACE is set."""
    if os.environ.get("GANBENCH_TRACE"):
        traceback.print_exception(error)
        return
    err.print_line(f"internal error: {type(error).__name__}: {error} ({place_of(error)})")
    err.print("Set GANBENCH_TRACE=1 for a traceback.")


class CommandGroup(TyperGroup):
    """Lists commands by purpose, and turns errors of users and of other code into sentences."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        with own_exit_codes():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        with own_exit_codes():
            return self.invoke_command(ctx)

    def invoke_command(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except NotDownloaded as error:
            fail_or_download(error, self.commands[ctx.invoked_subcommand])
        except GanbenchError as error:
            fail(str(error), error.exit_code)
        except OWN_ENDINGS:
            raise
        except BaseException as error:
            if sentence := explain_other_code(error):
                fail(sentence)
            raise

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        width = max(map(len, self.commands))
        for title, names in COMMAND_SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (f"{name:<{width}}", self.commands[name].get_short_help_str())
                        for name in names
                    ]
                )


def refuse_options(owner: str, given: dict[str, Any]) -> None:
    """Ends the program at an option that this use of a command ignores.

    `owner` says what the option is for, as in `for a suite`. None, False and 0 are not given.
    """
    for name, value in given.items():
        if value not in (None, 0):
            fail(f"--{name} is an option {owner}")


def fail_or_download(error: NotDownloaded, command: Any) -> NoReturn:
    """Ends the program with the remedies; on a terminal, offers the download first."""
    from .weights import download_on_request, fit_remedies

    error = fit_remedies(error, {option.name for option in command.params})
    if error.download and sys.stdin.isatty() and err.is_terminal:
        download_on_request(error)
    fail(str(error), error.exit_code)


def explain_other_code(error: BaseException) -> str:
    """Returns a sentence for an error of a plugin, or a SystemExit of any code; else nothing."""
    part = find_plugin_part(error)
    if part is None and not isinstance(error, SystemExit):
        return ""
    if os.environ.get("GANBENCH_TRACE"):
        traceback.print_exception(error)
    if part is not None:
        return str(part.failure(error))
    return f"other code ended the program: {describe_exception(error)} ({place_of(error)})"


def place_of(error: BaseException) -> str:
    """Returns the line and the file that raised an error."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"line {last.lineno} of {last.filename}"


def describe_file_error(error: OSError) -> str:
    """Returns a sentence for an error of the file system, with the remedy for a full disk."""
    place = f"{error.filename}: " if error.filename is not None else ""
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno in DISK_FULL:
        return (
            f"{place}the disk is full. Finished trials are kept: free some space before you go on"
        )
    return f"{place}{reason[0].lower()}{reason[1:]}"


app = typer.Typer(
    cls=CommandGroup,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Which stabilization trick helps a GAN, where, by how much, and how surely.",
)
out = StreamConsole()
err = StreamConsole(stderr=True)


def fail(message: str, code: int = USAGE) -> NoReturn:
    err.print_line(message)
    raise typer.Exit(code)
