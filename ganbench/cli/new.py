"""The command `new`: files to start a trick, a loss, a metric or a suite from."""

import keyword
import re
import shlex
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from ganbench.experiments.suite_files import known_suites
from ganbench.registry import suggest

from .base import app, fail, out

TEMPLATES = Path(__file__).with_name("templates")
PARTS_OF_SUITE = {  # metrics, losses and tricks of the new suite, by kind
    "trick": ('"fid", "modes(share=0.1)"', '"non_saturating"', '"$file:$Class"'),
    "loss": ('"fid", "modes(share=0.1)"', '"non_saturating", "$file:$Class"', ""),
    "metric": ('"fid", "$file:$Class"', '"non_saturating"', '"label_smoothing", "instance_noise"'),
    "suite": (
        '"fid", "modes(share=0.1)"',
        '"non_saturating"',
        '"label_smoothing", "instance_noise"',
    ),
}
QUESTIONS = {  # the sentence about the new suite, by kind
    "trick": "Does $title help?",
    "loss": "Is $title better than the usual loss?",
    "metric": "What does $title show of two tricks?",
    "suite": "Which of two tricks helps?",
}


@app.command()
def new(
    kind: Annotated[str, typer.Argument(help="trick, loss, metric or suite.")],
    name: Annotated[str, typer.Argument(help="Its name: my_blur or MyBlur.")],
    folder: Annotated[Path, typer.Option(help="Folder of the new files.")] = Path("."),
) -> None:
    """Write a new trick, loss, metric or suite.

    The files are a part with a working example, a suite that compares it, and a test. No existing file is
    overwritten.
    """
    if kind not in PARTS_OF_SUITE:
        fail(f"there is no kind {kind!r}{suggest(kind, list(PARTS_OF_SUITE))}")
    words = split_name(name)
    module = "_".join(words)
    check_module_name(module)
    texts = dict(render_files(kind, words))
    if existing := [str(folder / file) for file in texts if (folder / file).exists()]:
        fail(f"there is already {', '.join(existing)}: choose another name")
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
        out.print_line(f"wrote {folder / file}")
    suite, test = folder / f"{module}.toml", folder / f"test_{module}.py"
    out.print_line(f"  python -m pytest {shlex.quote(str(test))}")
    trust = "" if kind == "suite" else " --trust"
    if kind != "suite":
        part = shlex.quote(str(folder / f"{module}.py"))
        out.print_line(f"  ganbench check {part} --trust")
    out.print_line(f"  ganbench run {shlex.quote(str(suite))}{trust}")


def split_name(name: str) -> list[str]:
    """Returns the words of `my_blur`, `my-blur` or `MyBlur`; ends the program for other texts."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[-_ ]+", "_", name).lower().strip("_").split("_")
    if not re.fullmatch(r"[a-z]\w*", "_".join(words), re.ASCII):
        fail(f"{name!r} is no name of a part: begin with a letter, then letters, digits and _")
    return words


def check_module_name(module: str) -> None:
    """Ends the program for a name that hides a module of Python or a suite of ganbench."""
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or is_installed(module):
        fail(f"{module}.py would hide Python's module {module}: choose another name")
    if module in known_suites():
        fail(f"{module} is a suite of ganbench: choose another name")


def is_installed(module: str) -> bool:
    """Returns whether a module of this name can be imported from elsewhere than this folder."""
    spec = find_spec(module)
    return spec is not None and Path(spec.origin or ".").parent != Path.cwd()


def render_files(kind: str, words: list[str]) -> Iterator[tuple[str, str]]:
    """Yields names and texts of the new files: the part, its suite and its test."""
    name = "_".join(words)
    values = {
        "name": name,
        "title": " ".join(words).capitalize(),
        "Class": "".join(word.capitalize() for word in words),
        "file": f"{name}.toml" if kind == "suite" else f"{name}.py",
    }
    if kind != "suite":
        yield f"{name}.py", fill(f"{kind}.py", values)
    yield f"{name}.toml", fill("suite.toml", values | suite_values(kind, values))
    training = fill("short_training.py", values)
    yield f"test_{name}.py", fill(f"test_{kind}.py", values | {"training": training})


def suite_values(kind: str, values: dict[str, str]) -> dict[str, str]:
    """Returns the values of a suite's template."""
    metrics, losses, tricks = (Template(text).substitute(values) for text in PARTS_OF_SUITE[kind])
    about = Template(QUESTIONS[kind]).substitute(values | {"title": values["Class"]})
    section = fill("tricks.toml", {"names": tricks}) if tricks else ""
    return {"about": about, "metrics": metrics, "losses": losses, "tricks": section}


def fill(template: str, values: dict[str, str]) -> str:
    text = (TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")
    return Template(text).substitute(values)
