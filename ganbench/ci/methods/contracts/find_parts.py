"""Finds the parts of a local file or of an installed package, by kind and spec."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from ganbench.data import DATA
from ganbench.data.base import Data
from ganbench.errors import GanbenchError
from ganbench.evaluation.extractors.base import Extractor
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import Metric
from ganbench.evaluation.protocols.base import MeasurementRules
from ganbench.experiments.executors.base import Executor
from ganbench.experiments.suite_files import known_suites
from ganbench.experiments.trackers.base import Tracker
from ganbench.gan.losses import LOSSES
from ganbench.gan.losses.base import Loss
from ganbench.gan.networks import NETWORKS
from ganbench.gan.networks.base import Network
from ganbench.gan.recipe import Recipe
from ganbench.gan.tasks.base import Task
from ganbench.gan.tricks import TRICKS
from ganbench.gan.tricks.base import Trick
from ganbench.gan.variants import all_variants
from ganbench.local_files import (
    LocalFileError,
    find_local_file,
    is_local,
    load_module,
    part_of,
    read_source,
)
from ganbench.registry import (
    LocalPart,
    Registry,
    entry_points_of,
    find_class_line,
    plugin_parts,
    settings_of,
    shorten,
    suggest,
)

REGISTRIES: dict[str, Registry] = {
    "trick": TRICKS,
    "loss": LOSSES,
    "metric": METRICS,
    "data": DATA,
    "network": NETWORKS,
}
CLASSES: dict[type, str] = {  # base classes of all parts that a file can define
    Trick: "trick",
    Loss: "loss",
    Metric: "metric",
    Data: "data",
    Network: "network",
    Task: "task",
    Extractor: "extractor",
    MeasurementRules: "protocol",
    Executor: "executor",
    Tracker: "tracker",
}
UNCHECKED_KINDS = {  # with the reason
    "task": "it trains only with a network of its own kind: check a variant that names it",
    "extractor": "its features have no closed form",
    "protocol": "its rules have no closed form",
    "executor": "it needs the machines that it runs on",
    "tracker": "it needs the service that it reports to",
}


class NoSuchParts(GanbenchError, ValueError):
    """A file or a package has no part that can be checked."""


def parts_of_module(module: ModuleType, file: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Returns the parts of a file by kind and spec, and the unchecked ones with reasons."""
    parts: list[tuple[str, str]] = []
    skipped: list[str] = []
    for name, value in vars(module).items():
        kind, text = kind_of_value(value, module.__name__), f"{file}:{name}"
        if kind in UNCHECKED_KINDS:
            skipped.append(f"{kind} {text} ({UNCHECKED_KINDS[kind]})")
        elif kind and (setting := required_setting(value)):
            skipped.append(f"{kind} {text} (its setting {setting} has no default)")
        elif kind:
            parts.append((kind, text))
    return parts, skipped


def kind_of_value(value: object, module: str) -> str:
    """Returns the kind of part that a value of a module is, or an empty text."""
    if isinstance(value, Recipe):
        return "variant"
    if not isinstance(value, type) or value.__module__ != module or value.__name__.startswith("_"):
        return ""
    return next((kind for base, kind in CLASSES.items() if issubclass(value, base)), "")


def required_setting(part: object) -> str:
    """Returns the first setting of a class that has no default, or an empty text."""
    declared = settings_of(part) if isinstance(part, type) else {}
    empty = inspect.Parameter.empty
    return next((name for name, (_, default) in declared.items() if default is empty), "")


def parts_of_file(path: Path) -> tuple[list[tuple[str, str]], list[str]]:
    """Returns kinds and specs of the parts in a file: `("trick", "blur.py:Blur")`.

    The second list names parts without a check. Raises NoSuchParts for a file without parts, and
    LocalFileError, before the file runs, without trust.
    """
    read_syntax(path)
    local = find_local_file(f"{path.name}:part")
    with LocalPart(path.name, path.name, local.module_name).explained_errors():
        parts, skipped = parts_of_module(load_module(local), path.name)
    if not parts and not skipped:
        names = ", ".join(base.__name__ for base in CLASSES)
        raise NoSuchParts(
            f"{path} has no part: derive a class from {names} of ganbench.extend, or write "
            "`name = Recipe(...)`"
        )
    return parts, skipped


def find_definition(kind: str, text: str) -> str:
    """Returns the line and the file that define a part."""
    if is_local(text):
        file, name = find_local_file(text), part_of(text)
        return f"line {line_of_name(ast.parse(file.text), name)} of {file.name}"
    if kind in REGISTRIES:
        return find_class_line(REGISTRIES[kind].target(text))
    return f"entry point {entry_points_of('ganbench.variants')[text]}"


def line_of_name(tree: ast.Module, name: str) -> int:
    """Returns the line of the last class or variable of a name; 1 if there is none."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.Name)]
    made = [node for node in nodes if isinstance(getattr(node, "ctx", ast.Store()), ast.Store)]
    own = [
        node.lineno for node in made if name in (getattr(node, "id", ""), getattr(node, "name", ""))
    ]
    return max(own, default=1)


def read_syntax(path: Path) -> None:
    """Raises NoSuchParts for a file that cannot be read, or that is no Python."""
    try:
        ast.parse(read_source(path, path.name), path.name)
    except SyntaxError as error:
        raise NoSuchParts(f"line {error.lineno} of {path}: {error.msg}") from None
    except LocalFileError as error:
        raise NoSuchParts(str(error)) from None


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
