"""The program object, its consoles, and the options and messages that commands share."""

import difflib
import errno
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from ganbench.errors import GanbenchError, NotDownloaded
from ganbench.experiments.plan_names import ARM_FIELDS, join_names
from ganbench.experiments.suite_files import read_suite_name
from ganbench.local_files import trust_local_files
from ganbench.registry import describe_exception, find_plugin_part, shorten

from .streams import StreamConsole, reserve_stdout
from .streams import print_json as print_json

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
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
MAX_NAME_BYTES, MAX_PATH_CHARACTERS = 255, 4096  # of Linux's file systems


# Ends of a command that are no errors of other code.
OWN_ENDINGS = (typer.Exit, typer.Abort, KeyboardInterrupt, BrokenPipeError)


class CommandGroup(TyperGroup):
    """Lists commands by purpose, and turns errors of users and of other code into sentences."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except NotDownloaded as error:
            fail_or_download(error)
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


def fail_or_download(error: NotDownloaded) -> NoReturn:
    """Ends the program with the remedies; on a terminal, offers the download first."""
    from .weights import download_on_request

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
            f"{place}the disk is full. Finished trials are kept: free some space, and run the same "
            "command again"
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


def parse_folder(text: str | Path) -> Path:
    """Returns the path of a folder of results; raises BadParameter for an empty text."""
    if not str(text):
        raise typer.BadParameter("it is empty: name a folder, such as results or .")
    return Path(text).expanduser()


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
        help="Set numerics of all trials: dtype=bfloat16.",
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
    Path | None, typer.Option("--verdict", help="Write the JSON of the verdict to this file.")
]
DEFAULT_RESULTS = Path("results")
OUTCOME_WORDS = {  # of outcomes and states; others are words already
    "not_applicable": "not applicable",
    "started": "started (with a checkpoint)",
    "trained": "trained (not measured)",
}


def fail(message: str, code: int = USAGE) -> NoReturn:
    err.print_line(message)
    raise typer.Exit(code)


def suite_folder(suite: str, results: Path) -> Path:
    """Returns the folder of tables for `bench`, `suites/bench.toml` or the folder itself."""
    given = Path(suite)
    if any((given / name).exists() for name in ("results.parquet", "results.csv", "plan.json")):
        return given
    if given.suffix == ".toml" and given.is_file():
        return results / read_suite_name(given)
    return results / given.stem if given.stem else given


def read_frame(suite: str, results: Path) -> Any:
    """Reads the rows of a suite from its store, or else from its tables."""
    from ganbench.analysis.rows import collect_rows, load
    from ganbench.experiments.store import Store, read_plan

    folder = suite_folder(suite, results)
    try:
        content = read_plan(folder)
        if content and has_store(folder) and content["suite"] == folder.resolve().name:
            return collect_rows(content, Store(folder.parent))
        return load(folder)
    except FileNotFoundError:
        fail(no_run_sentence(suite, folder))
    except ValueError as error:  # of a table that pandas cannot read
        fail(str(error))


def no_run_sentence(suite: str, folder: Path) -> str:
    """Returns the sentence for a suite without results, with a similar name that has some."""
    if Path(suite).is_dir():
        return f"no run in {folder}: name a suite, or the folder of its tables"
    runs = [path.parent.name for path in folder.parent.glob("*/plan.json")]
    close = difflib.get_close_matches(folder.name, runs, n=1, cutoff=0.6)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    from ganbench.experiments.suite_files import find_suite_file

    if not find_suite_file(suite).is_file():
        return f"no run in {folder}, and no suite {suite}{hint}"
    return f"no run in {folder}: `ganbench run {suite}` makes one{hint}"


def has_store(folder: Path) -> bool:
    """Is the store of a suite beside its tables? Published tables have none."""
    return (folder.parent / "trials").exists()


def format_cell_name(row: dict[str, Any]) -> str:
    return join_names(row[key] for key in ARM_FIELDS)


def results_option(results: Path) -> list[str]:
    """Returns the option that names another folder of results than the default one."""
    return [] if results == DEFAULT_RESULTS else ["--results", str(results)]


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
