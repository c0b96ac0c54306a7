"""Provenance: which code and which versions made a result."""

import hashlib
import platform
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from .data import DATA
from .games import GAMES
from .losses import LOSSES
from .networks import NETWORKS
from .recipe import Recipe
from .spec import Index, parse
from .tricks import TRICKS

# What every training runs through. The command line, the executors, the metrics (which have versions)
# and the tables decide none of its numbers.
CORE = ("assemble", "blueprint", "duel", "plan", "streams", "train", "trial")
PARTS = (DATA, GAMES, LOSSES, NETWORKS, TRICKS)
PACKAGES = ("ganbench", "numpy", "scikit-learn", "torch", "torch-fidelity", "torchvision")


def code(recipe: Recipe, data: str) -> str:
    """SHA-256 of the sources that a training runs through, the first 16 digits.

    Of losses, tricks and the like only those of the recipe count: a new one makes nothing stale.
    """
    digest = hashlib.sha256()
    for path in sorted({*common(), *parts(recipe, data)}):
        digest.update(path.name.encode() + content(path))
    return digest.hexdigest()[:16]


def parts(recipe: Recipe, data: str) -> Iterator[Path]:
    """The files of what a recipe names."""
    named = [(DATA, data), (GAMES, recipe.game), (LOSSES, recipe.loss), (NETWORKS, recipe.network)]
    for index, text in [*named, *((TRICKS, trick) for trick in recipe.tricks)]:
        yield file_of(index, parse(text).name)


@cache
def common() -> tuple[Path, ...]:
    """The files of the core, and those of each package that nothing names: bases and shared parts."""
    root = Path(__file__).parent
    found = [root / f"{name}.py" for name in CORE]
    for index in PARTS:
        named = {file_of(index, name) for name in index.entries}
        folder = root / index.package.rpartition(".")[2]
        found += [p for p in folder.glob("*.py") if p not in named and p.name != "__init__.py"]
    return tuple(found)


@cache
def file_of(index: Index, name: str) -> Path:
    found = find_spec(index.modules()[name].partition(":")[0])
    assert found
    assert found.origin
    return Path(found.origin)


@cache
def content(path: Path) -> bytes:
    return path.read_bytes()


@cache
def torch_minor() -> str:
    return ".".join(version("torch").split(".")[:2])


@cache
def versions() -> dict[str, str]:
    """Of Python, the machine and the packages that numbers depend on."""
    packages = {name: version(name) for name in PACKAGES}
    return {"python": platform.python_version(), "machine": platform.machine(), **packages}
