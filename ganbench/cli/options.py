"""Arguments and options that commands share."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from ganbench.files import read_json_or_none
from ganbench.local_files import trust_local_files
from ganbench.registry import shorten

from .streams import reserve_stdout

MAX_NAME_BYTES, MAX_PATH_CHARACTERS = 255, 4096  # of Linux's file systems


def refuse_long_names(text: str) -> str:
    """Raises BadParameter for a path with a name longer than file systems have."""
    longest = max((len(os.fsencode(part)) for part in Path(text).parts), default=0)
    if longest > MAX_NAME_BYTES or len(text) > MAX_PATH_CHARACTERS:
        raise typer.BadParameter(f"{shorten(text)} is too long for a file name")
    return text


SuiteArgument = Annotated[
    str,
    typer.Argument(
        help="A suite file or a shipped suite: bench, smoke.", callback=refuse_long_names
    ),
]


def refuse_folder(path: Path | None) -> Path | None:
    """Raises BadParameter for a folder in place of a file; an empty text is one too.

    This suffices for files that are appended to. See refuse_special_file for files that are replaced.
    """
    if path is not None and path.is_dir():
        raise typer.BadParameter(f"{path} is a folder: name a file in it")
    return path


def refuse_special_file(path: Path | None) -> Path | None:
    """Raises BadParameter for a folder, a device or a pipe.

    Files are written under a temporary name and renamed, which would replace a device.
    """
    refuse_folder(path)
    if path is not None and path.exists() and not path.is_file():
        raise typer.BadParameter(f"{path} is no plain file: name another")
    return path


def delete_old_verdict(path: Path | None) -> Path | None:
    """Deletes the verdict of an earlier command, so that it is not read as this one's.

    Another file stays until a verdict replaces it. Raises BadParameter for a folder or a device.
    """
    refuse_special_file(path)
    if path is not None and path.is_file() and is_verdict(path):
        path.unlink()
    return path


def is_verdict(path: Path) -> bool:
    return (read_json_or_none(path) or {}).keys() >= {"command", "verdict", "code"}


def parse_folder(text: str | Path) -> Path:
    """Returns the path of a folder of results.

    Raises BadParameter for an empty text, and for the home of an unknown user.
    """
    if not str(text):
        raise typer.BadParameter("it is empty: name a folder, such as results or .")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        home = Path(text).parts[0]
        raise typer.BadParameter(f"{home} is no home of a user: name a folder") from None


Results = Annotated[
    Path,
    typer.Option(metavar="FOLDER", parser=parse_folder, help="Folder of the store and the tables."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
ProfileName = Annotated[
    str | None, typer.Option("--profile", help="Budget profile of the suite. Default: by device.")
]
SeedCount = Annotated[
    int | None, typer.Option("--seeds", min=1, help="Number of seeds. Default: the suite's.")
]
Override = Annotated[
    list[str] | None,
    typer.Option(
        "-o",
        metavar="KEY=VALUE",
        help="Override a suite key: -o budget.cpu.images=1000.",
    ),
]
NumericsSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--numerics",
        metavar="KEY=VALUE",
        help="Set numerics where a grid has none: dtype=bfloat16.",
        callback=lambda settings: [f"numerics.{setting}" for setting in settings or []],
    ),
]


def export_weights_path(path: Path | None) -> Path | None:
    """Exports the path of Inception's weights to this process and its workers."""
    if path is not None:
        if not path.is_file():
            raise typer.BadParameter(f"there is no file {path}")
        os.environ["GANBENCH_INCEPTION"] = str(path.absolute())
    return path


InceptionWeights = Annotated[
    Path | None,
    typer.Option(
        "--inception-weights",
        callback=export_weights_path,
        help="File of Inception's weights. Also: GANBENCH_INCEPTION.",
    ),
]


def trust_option(help: str) -> Any:
    """Returns the option --trust; it is read first, because reading a suite can run code."""
    return typer.Option("--trust", callback=trust_local_files, is_eager=True, help=help)


Trust = Annotated[
    bool, trust_option("Run code of local files that a suite names, as in my_tricks.py:Blur.")
]
Workers = Annotated[
    int | None,
    typer.Option(min=0, help="Worker processes; 0: none. Default: CPU cores, 1 on a GPU."),
]
ExecutorName = Annotated[
    str, typer.Option("--executor", help="Executor of trials: auto, inline, local, stacked.")
]
Json = Annotated[
    bool, typer.Option("--json", callback=reserve_stdout, is_eager=True, help="Print JSON.")
]
BenchmarkWords = Annotated[
    list[str] | None, typer.Option("--only", help="Part of a benchmark's name; repeatable.")
]
Instructions = Annotated[
    bool | None,
    typer.Option(
        "--instructions/--no-instructions",
        help="Count instructions under Valgrind. Default: on a CPU with Valgrind.",
    ),
]
VerdictFile = Annotated[
    Path | None,
    typer.Option(
        "--verdict",
        callback=delete_old_verdict,
        is_eager=True,  # before other options are refused
        help="Write the JSON of the verdict to this file.",
    ),
]
DEFAULT_RESULTS = Path("results")
