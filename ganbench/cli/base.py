"""What commands share: the program, its two consoles, options, and how it answers and refuses."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from typer.core import TyperGroup

from ganbench.errors import GanbenchError

USAGE, FAILED, INTERNAL, INTERRUPTED = 2, 4, 5, 130


class CommandGroup(TyperGroup):
    """Commands whose errors are sentences: a GanbenchError ends the program with its exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except GanbenchError as error:
            fail(str(error), error.exit_code)


app = typer.Typer(
    cls=CommandGroup,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Which stabilization trick helps a GAN, where, by how much, and how surely.",
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

SuiteArgument = Annotated[
    str, typer.Argument(help="A suite file, or the name of one: bench, smoke.")
]
Results = Annotated[Path, typer.Option(help="The folder that holds the store and the tables.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
ProfileName = Annotated[
    str | None, typer.Option("--profile", help="A budget of the suite; the device chooses.")
]
SeedCount = Annotated[int | None, typer.Option("--seeds", min=1, help="In place of the suite's.")]
Override = Annotated[
    list[str] | None,
    typer.Option(
        "-o",
        metavar="KEY=VALUE",
        help="Override a key of the suite, e.g. -o budget.cpu.images=1000.",
    ),
]


def export_weights_path(path: Path | None) -> Path | None:
    """Tells this process, and the workers that it starts, where Inception's weights are."""
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
        help="The file of Inception's weights; GANBENCH_INCEPTION names it too.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(min=0, help="Worker processes; 0 runs all in this one. All CPUs, or 1 on a GPU."),
]
ExecutorName = Annotated[
    str, typer.Option("--executor", help="What runs trials: auto, inline, local, ...")
]
Json = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]
DEFAULT_RESULTS = Path("results")
CELL_NAME_COLUMNS = ("data", "variant", "loss", "tricks", "plan")


def fail(message: str, code: int = USAGE) -> NoReturn:
    err.print(message, markup=False, soft_wrap=True)
    raise typer.Exit(code)


def print_json(content: Any) -> None:
    """Prints JSON to standard output, and nothing else."""
    sys.stdout.write(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def suite_folder(suite: str, results: Path) -> Path:
    """Where a suite's tables lie: `bench`, `suites/bench.toml` or the folder itself."""
    given = Path(suite)
    if (given / "results.parquet").exists() or (given / "plan.json").exists():
        return given
    return results / given.stem


def read_frame(suite: str, results: Path) -> Any:
    """The rows of a suite that was run, or is running: from its store, or else from its tables."""
    from ganbench.analysis.rows import collect_rows, load
    from ganbench.experiments.store import Store
    from ganbench.files import read_json

    folder = suite_folder(suite, results)
    try:
        content = read_json(folder / "plan.json")
        if content and has_store(folder):
            return collect_rows(content, Store(folder.parent))
        return load(folder)
    except FileNotFoundError:
        fail(f"{folder} holds no run: `ganbench run {suite}` makes one")
    except ValueError as error:  # of a table that pandas cannot read
        fail(str(error))


def has_store(folder: Path) -> bool:
    """Does the store that a suite's tables were made from lie beside them? Published ones have none."""
    return (folder.parent / "trials").exists()


def format_cell_name(row: dict[str, Any]) -> str:
    return " / ".join(filter(None, (row[key] for key in CELL_NAME_COLUMNS)))


@contextmanager
def report_write_errors() -> Iterator[None]:
    """A file that cannot be written is told, and changes no verdict."""
    try:
        yield
    except OSError as error:
        err.print(f"{error}", markup=False, soft_wrap=True)
