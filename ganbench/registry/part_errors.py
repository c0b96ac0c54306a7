"""Errors of parts: mistakes in own files, and failures of plugins and local files.

A message names the part, its package, the file and the line. Plugins are found by their entry points.
"""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points

from ganbench.errors import GanbenchError
from ganbench.local_files import MODULE_PREFIX, known_files

from .part_sources import find_class, find_module
from .specs import shorten

MAX_ERROR_CHARACTERS = 300  # of a plugin's error message
PLUGIN_GROUP_PREFIX = "ganbench."


@cache
def entry_points_of(group: str) -> dict[str, str]:
    """Returns the entry points of installed packages in a group, cached because it is slow."""
    return {point.name: point.value for point in entry_points(group=group)}


class PartError(GanbenchError):
    """A file of ganbench's own parts has a mistake. The message names the file and the line."""


# Python's errors for mistakes in code, as opposed to those of a machine or of settings.
MISTAKES = (
    *(SyntaxError, ImportError, NameError, AttributeError, TypeError, LookupError),
    *(AssertionError, NotImplementedError, ZeroDivisionError),
)


class PluginError(GanbenchError):
    """A plugin's code failed. The message names the part, its package, the file and the line."""


@dataclass(frozen=True)
class PluginPart:
    """A part of a plugin: `trick coin`, `coinpack`, `coinpack.coin:Coin`."""

    label: str
    package: str  # the installed distribution
    target: str  # the entry point, module:Class

    @property
    def module(self) -> str:
        return self.target.partition(":")[0].strip()

    @property
    def top_module(self) -> str:
        return self.module.partition(".")[0]

    def failure(self, error: BaseException) -> PluginError:
        """Returns an error of this part as a sentence with file and line."""
        text = shorten(describe_exception(error), MAX_ERROR_CHARACTERS)
        place = find_error_line(error, self.top_module) or find_class_line(self.target)
        return PluginError(
            f"{self.label} of package {self.package} failed: {text} ({place}); "
            f"correct the package, or remove it: pip uninstall {self.package}"
        )

    @contextmanager
    def explained_errors(self) -> Iterator[None]:
        """Raises PluginError for any error, also SystemExit; other user errors pass."""
        try:
            yield
        except (GanbenchError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise self.failure(error) from error


@dataclass(frozen=True)
class LocalPart(PluginPart):
    """A part of a local file: `trick my_tricks.py:Blur`, whose package is the file's name."""

    def failure(self, error: BaseException) -> PluginError:
        text = shorten(describe_exception(error), MAX_ERROR_CHARACTERS)
        place = find_error_line(error, self.top_module)
        where = f" ({place})" if place else ""
        return PluginError(f"{self.label} failed: {text}{where}; correct {self.package}")


def find_local_part(module: str) -> LocalPart | None:
    """Returns the file of a local module, as a part for errors, or None."""
    files = known_files().values() if module.startswith(MODULE_PREFIX) else ()
    names = [file.name for file in files if file.module_name == module]
    return LocalPart(names[0], names[0], module) if names else None


@cache
def plugin_parts() -> list[PluginPart]:
    """Returns the parts of all installed plugins, cached because it is slow."""
    groups = [g for g in entry_points().groups if g.startswith(PLUGIN_GROUP_PREFIX)]
    points = [point for group in groups for point in entry_points(group=group)]
    return [
        PluginPart(
            f"{_singular(p.group.removeprefix(PLUGIN_GROUP_PREFIX))} {p.name}",
            p.dist.name if p.dist else p.value.partition(".")[0],
            p.value,
        )
        for p in points
    ]


def _singular(group: str) -> str:
    return {"losses": "loss", "data": "data set"}.get(group, group.removesuffix("s"))


def find_plugin_part(error: BaseException) -> PluginPart | None:
    """Returns the plugin's part that raised an error, or None."""
    for module in [*_raising_modules(error), *_missing_modules(error)]:
        if local := find_local_part(module):
            return local
        parts = [p for p in plugin_parts() if p.top_module == module.partition(".")[0]]
        if parts:
            return next((p for p in parts if p.module == module), parts[0])
    return None


def _raising_modules(error: BaseException) -> list[str]:
    """Returns the modules of an error's traceback, the innermost first."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return [str(frame.f_globals.get("__name__", "")) for frame in reversed(frames)]


def _missing_modules(error: BaseException) -> list[str]:
    """Returns the module that an import did not find, or in which it did not find a name."""
    module = getattr(getattr(error, "obj", None), "__name__", "")
    return [str(module), str(getattr(error, "name", ""))]


def find_error_line(error: BaseException, top_module: str) -> str:
    """Returns the innermost line of a package in an error's traceback, or an empty text."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"line {error.lineno} of {error.filename}"
    places = [
        f"line {line} of {frame.f_code.co_filename}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] == top_module
        and not frame.f_code.co_filename.startswith("<")  # text that Python evaluates
    ]
    return places[-1] if places else ""


def find_class_line(target: str) -> str:
    """Returns the line of a class `module:Class`, or the entry point if there is no such line."""
    module, _, name = target.partition(":")
    node, found = find_class(module, name), find_module(module)
    return f"line {node.lineno} of {found}" if node and found else f"entry point {target}"


def describe_exception(error: BaseException) -> str:
    """Returns type and message of an exception as one line."""
    return " ".join("".join(traceback.format_exception_only(error)[-1:]).split())


def explain_error(error: BaseException) -> str:
    """Returns an error as one line; for a plugin's error, with part, package, file and line."""
    part = None if isinstance(error, GanbenchError) else find_plugin_part(error)
    return describe_exception(error) if part is None else str(part.failure(error))
