"""The command line: `ganbench run`, `plan`, `report`, `eval`, `gate` and more.

Exit codes: 0 ok · 1 a regression, or unequal stores · 2 usage or suite error
· 3 a gate cannot decide · 4 trials, a download or writing failed · 5 internal error · 130 interrupted.
Commands import torch and pandas themselves, so that help and lists answer at once.
"""

import sys
import warnings
from importlib import import_module
from typing import Annotated

import typer

from ganbench import __version__
from ganbench.deprecation import GanbenchDeprecationWarning
from ganbench.experiments.signals import handle_stop_signals

from .base import (
    FAILED,
    INTERNAL,
    INTERRUPTED,
    app,
    describe_file_error,
    err,
    out,
    print_internal_error,
)
from .streams import accept_any_encoding

COMMAND_MODULES = (
    "baseline",
    "bisect",
    "catalog",
    "check",
    "claim",
    "compare",
    "eval",
    "floor",
    "gate",
    "history",
    "human_study",
    "measure",
    "new",
    "pack",
    "perf",
    "pictures",
    "plan",
    "report",
    "run",
    "show",
    "status",
    "stores",
    "styles",
    "trials",
    "watch",
)
for module in COMMAND_MODULES:  # importing a module adds its commands
    import_module(f"{__name__}.{module}")


def print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"ganbench {__version__}")
        raise typer.Exit()


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=print_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Options of the program itself."""


def main() -> None:
    """Runs the program, and ends it with its exit code."""
    handle_stop_signals()
    accept_any_encoding()
    warnings.simplefilter("default", GanbenchDeprecationWarning)
    try:
        app()
    except KeyboardInterrupt:
        err.print("Stopped.")
        sys.exit(INTERRUPTED)
    except OSError as error:  # a full disk, a folder that cannot be written
        err.print_line(describe_file_error(error))
        sys.exit(FAILED)
    except Exception as error:
        print_internal_error(error)
        sys.exit(INTERNAL)
