"""The command line: `ganbench run | watch | plan | status | measure | report | compare | gate | perf | list | ...`.

Exit codes: 0 ok · 1 a gate's regression · 2 usage or suite error · 3 a gate cannot decide
· 4 trials or a download failed · 5 internal error · 130 interrupted.
Modules that need torch are imported inside the commands that train: help and lists answer at once.
"""

import os
import signal
import sys
from typing import Annotated

import typer

from ganbench import __version__

from . import catalog as parts
from . import eval as evaluation
from . import gate, history, styles
from . import human_study as study
from . import perf as performance
from . import report as answers
from . import run as training
from . import visualize as looking
from . import watch as watching
from .base import INTERNAL, INTERRUPTED, app, err, out

# To import a module is to add its commands, in this order.
COMMANDS = (
    training,
    watching,
    answers,
    gate,
    performance,
    history,
    looking,
    styles,
    study,
    evaluation,
    parts,
)


def print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"ganbench {__version__}")
        raise typer.Exit()


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--print_version", callback=print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Options of the program itself."""


def main() -> None:
    """The program. What nobody foresaw is told in a line, with a trace if GANBENCH_TRACE is set."""
    # A batch system's request to end is Ctrl-C: checkpoints are written, and what was trained is kept.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except KeyboardInterrupt:
        err.print("Stopped.")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:  # a full disk, a folder that cannot be written
        err.print(f"{error}", markup=False, soft_wrap=True)
        sys.exit(INTERNAL)
    except Exception as error:
        if os.environ.get("GANBENCH_TRACE"):
            raise
        err.print(f"internal error: {type(error).__name__}: {error}", markup=False, soft_wrap=True)
        err.print("GANBENCH_TRACE=1 shows where it came from.")
        sys.exit(INTERNAL)
