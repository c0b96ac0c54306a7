"""The command `new`: files to start a trick, a loss, a network, a metric or a suite from."""

import keyword
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from ganbench.experiments.suite_files import known_suites
from ganbench.registry import suggest

from .base import app, fail, out

TEMPLATES = Path(__file__).with_name("templates")
METRICS = '"fid", "modes(share=0.1)"'
SHIPPED_VARIANTS = '"gan(width=32)", "dcgan(width=8)"'
TWO_TRICKS = '"label_smoothing", "instance_noise"'


@dataclass(frozen=True)
class SuiteParts:
    """The parts that a new suite compares, as texts of its file."""

    question: str
    metrics: str = METRICS
    variants: str = SHIPPED_VARIANTS
    losses: str = 'losses = ["non_saturating"]\n'
    tricks: str = ""


SUITE_PARTS = {  # by kind
    "trick": SuiteParts("Does $title help?", tricks='"$file:$Class"'),
    "loss": SuiteParts(
        "Is $title better than the usual loss?",
        losses='losses = ["non_saturating", "$file:$Class"]\n',
    ),
    "network": SuiteParts(
        "Is $title better than DCGAN, and does R1 help it?",
        variants='"$file:$name", "dcgan(norm=\'layer\', width=16)"',
        losses="",
        tricks='"r1"',
    ),
    "metric": SuiteParts(
        "What does $title show of two tricks?", metrics='"fid", "$file:$Class"', tricks=TWO_TRICKS
    ),
    "suite": SuiteParts("Which of two tricks helps?", tricks=TWO_TRICKS),
}


@app.command()
def new(
    kind: Annotated[str, typer.Argument(help="trick, loss, network, metric or suite.")],
    name: Annotated[str, typer.Argument(help="Its name: my_blur or MyBlur.")],
    folder: Annotated[Path, typer.Option(help="Folder of the new files.")] = Path("."),
) -> None:
    """Write a new part or suite to start from.

    The files are a part with a working example, a suite that compares it, and a test. No existing file is
    overwritten.
    """
    if kind not in SUITE_PARTS:
        fail(f"there is no kind {kind!r}{suggest(kind, list(SUITE_PARTS))}")
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
    parts = SUITE_PARTS[kind]
    texts = {key: Template(text).substitute(values) for key, text in asdict(parts).items()}
    texts["about"] = Template(parts.question).substitute(values | {"title": values["Class"]})
    tricks = fill("tricks.toml", {"names": texts["tricks"]}) if parts.tricks else ""
    return texts | {"tricks": tricks}


def fill(template: str, values: dict[str, str]) -> str:
    text = (TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")
    return Template(text).substitute(values)
