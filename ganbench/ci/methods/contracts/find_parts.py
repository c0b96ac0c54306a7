"""Finds the parts of a local file or of an installed package, by kind and spec."""

import ast
from collections.abc import Iterator
from pathlib import Path

from ganbench.data import DATA
from ganbench.errors import GanbenchError
from ganbench.evaluation.metrics import METRICS
from ganbench.experiments.suite_files import known_suites
from ganbench.gan.losses import LOSSES
from ganbench.gan.tricks import TRICKS
from ganbench.gan.variants import all_variants
from ganbench.local_files import LocalFileError, read_source
from ganbench.registry import Registry, entry_points_of, plugin_parts, shorten, suggest

REGISTRIES: dict[str, Registry] = {
    "trick": TRICKS,
    "loss": LOSSES,
    "metric": METRICS,
    "data": DATA,
}
BASES = {
    "Trick": "trick",
    "Loss": "loss",
    "TargetedLoss": "loss",
    "Metric": "metric",
    "Data": "data",
}


class NoSuchParts(GanbenchError, ValueError):
    """A file or a package has no part that can be checked."""


def parts_of_file(path: Path) -> list[tuple[str, str]]:
    """Returns kinds and specs of the classes in a file: `("trick", "blur.py:Blur")`.

    The file is read, not run. Raises NoSuchParts if no class derives from a base class of parts.
    """
    try:
        tree = ast.parse(read_source(path, path.name), path.name)
    except SyntaxError as error:
        raise NoSuchParts(f"line {error.lineno} of {path}: {error.msg}") from None
    except LocalFileError as error:
        raise NoSuchParts(str(error)) from None
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    parts = [
        (kind, f"{path.name}:{c.name}") for c in classes if (kind := kind_of_class(c, classes))
    ]
    if not parts:
        names = ", ".join(dict.fromkeys(BASES))
        raise NoSuchParts(f"{path} has no class derived from {names} of ganbench.extend")
    return parts


def kind_of_class(node: ast.ClassDef, classes: list[ast.ClassDef]) -> str:
    """Returns the kind of part that a class is by its bases, also through the file's classes."""
    names = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
    for name in names:
        if name in BASES:
            return BASES[name]
    inner = [kind_of_class(c, classes) for c in classes if c.name in names and c is not node]
    return next(filter(None, inner), "")


def parts_of_package(name: str) -> list[tuple[str, str]]:
    """Returns kinds and specs of an installed package, by its name or the name of its module.

    Raises NoSuchParts for a package without entry points.
    """
    modules = {p.top_module for p in plugin_parts() if name in (p.package, p.top_module)}
    parts = list(registered_parts(modules))
    parts += [
        ("variant", variant)
        for variant, target in entry_points_of("ganbench.variants").items()
        if target.partition(".")[0] in modules and variant in all_variants()
    ]
    if not parts:
        known = [*known_suites(), *(p.top_module for p in plugin_parts())]
        raise NoSuchParts(
            f"{shorten(name)} is no suite, no file and no installed package with parts"
            f"{suggest(name, known)}"
        )
    return parts


def registered_parts(modules: set[str]) -> Iterator[tuple[str, str]]:
    for kind, registry in REGISTRIES.items():
        for name, target in entry_points_of(registry.group).items():
            if target.partition(":")[0].partition(".")[0] in modules:
                yield kind, name
