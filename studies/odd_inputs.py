"""Exit code and output of `ganbench eval` for odd and broken inputs.

`python studies/odd_inputs.py` writes the published table. Each input is measured as fakes, against a valid
folder of reals.
"""

import io
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import torch
from odd_input_kinds import archives, arrays, generators, images, options
from odd_input_kinds.base import NO_SIZE, REALS_SEED, write_images

from ganbench import cli

PAGE = Path(__file__).parents[1] / "results" / "published" / "eval" / "odd_inputs.md"
INPUTS = images.INPUTS | archives.INPUTS | arrays.INPUTS | generators.INPUTS | options.INPUTS
UNREADABLE = ("file that may not be read", "folder that may not be read")
UNPRIVILEGED_USER = 65534  # reads only the files that all users may read
OPTIONS = shlex.split("--metrics kid --no-floor --extractor identity --device cpu --workers 1")
HEAD = """\
# Odd and broken inputs

The output of `ganbench eval INPUT reals --extractor identity --size 8 --metrics kid` for each input, against a valid
folder of 16 real images. Exit code 0: the input was measured, and the notes below the table of values describe its
treatment. Exit code 2: the input was rejected with one sentence and no traceback. `python studies/odd_inputs.py`
writes this table, and `tests/integration/test_odd_inputs.py` compares it.

| input | exit code | output |
|---|---:|---|
"""


def main() -> None:
    torch.set_num_threads(1)
    results = list(run_all_inputs())
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(render_page(results))
    print(f"{len(results)} inputs: {PAGE}")


@dataclass(frozen=True)
class InputResult:
    """The exit code of the program for an input, and its notes or its error message."""

    input: str
    exit_code: int
    output: str
    has_traceback: bool

    def format_row(self) -> str:
        return f"| {self.input} | {self.exit_code} | {self.output.replace('|', '/')} |"


def render_page(results: Iterable[InputResult]) -> str:
    return HEAD + "".join(f"{result.format_row()}\n" for result in results)


def run_all_inputs() -> Iterator[InputResult]:
    for name in INPUTS:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["GANBENCH_CACHE"] = f"{folder}/cache"
            yield run_input(name, Path(folder))


def run_input(name: str, folder: Path) -> InputResult:
    """Writes an input and the reals into an empty folder, and measures the input."""
    write_images(folder / "reals", first_seed=REALS_SEED)
    command = prepare_command(name, folder)
    folder.chmod(0o755)  # only its owner may enter a temporary folder
    with as_unprivileged_user() if name in UNREADABLE else nullcontext():
        exit_code, stdout, stderr = run_program(command)
    allow_access(folder)
    notes = [line.removeprefix("- ") for line in stdout.splitlines() if line.startswith("- ")]
    lines = (notes or ["measured"]) if exit_code == 0 else stderr.splitlines()[-1:]
    output = "; ".join(lines).replace(f"{folder}/", "")
    return InputResult(name, exit_code, output, "Traceback" in stderr)


def prepare_command(name: str, folder: Path) -> list[str]:
    """Writes the files of an input, and returns the arguments of the program that measure it."""
    arguments = INPUTS[name](folder) or []
    if not arguments or arguments[0].startswith("--"):
        arguments = [str(folder / "x"), *arguments]
    path, *changes = arguments
    size = [] if NO_SIZE in changes else ["--size", "8"]
    changes = [option for option in changes if option != NO_SIZE]
    return ["eval", path, str(folder / "reals"), *OPTIONS, *size, *changes]


@contextmanager
def as_unprivileged_user() -> Iterator[None]:
    """Drops the rights of root for a while, because root may read every file."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(UNPRIVILEGED_USER)
    try:
        yield
    finally:
        os.seteuid(user)


def run_program(arguments: list[str]) -> tuple[int, str, str]:
    """Runs ganbench in this process. Returns its exit code, stdout and stderr."""
    stdout, stderr = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["ganbench", *arguments]
    try:
        with redirect_stdout(stdout), redirect_stderr(stderr):
            exit_code = exit_code_of(cli.main)
    finally:
        sys.argv = before
    return exit_code, stdout.getvalue(), stderr.getvalue()


def exit_code_of(program: Callable[[], None]) -> int:
    try:
        program()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def allow_access(folder: Path) -> None:
    """Makes unreadable files of an input readable, so that the folder can be deleted."""
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755)


if __name__ == "__main__":
    main()
