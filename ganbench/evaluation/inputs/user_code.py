"""A user's Python code in this process: its imports and its errors.

Any exception of the code, also SystemExit, becomes an Unreadable with file, line and function.
"""

import importlib
import importlib.util
import inspect
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import (
    AbstractContextManager,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import ganbench
from ganbench.data.image_decoding import Unreadable
from ganbench.files import expand_home
from ganbench.registry import describe_exception, shorten

MAX_ERROR_CHARACTERS = 300
OWN_FOLDER = str(Path(ganbench.__file__).parent)
PACKAGES_FOLDER = sysconfig.get_path("purelib")
LIBRARY_FOLDERS = (OWN_FOLDER, sysconfig.get_path("stdlib"), PACKAGES_FOLDER)
WORKER_TRACEBACK = "Original Traceback"  # in errors that PyTorch passes on from worker processes
TRACEBACK_LINE = re.compile(r'File "(.+?)", line (\d+), in (\S+)')
GUARD_ADVICE = "move code that runs a program below `if __name__ == '__main__':`"


@dataclass(frozen=True)
class Place:
    """A line of code."""

    file: str
    line: int | None
    function: str = ""

    def __str__(self) -> str:
        inside = f", in {self.function}" if self.function else ""
        return f"line {self.line} of {self.file}{inside}"


# Errors


@contextmanager
def user_code(action: str, function: object = None) -> Iterator[None]:
    """Raises Unreadable for any error inside the context, as `action` and the error."""
    try:
        with exit_as_exception(), no_arguments():
            yield
    except (KeyboardInterrupt, GeneratorExit, Unreadable):
        raise
    except BaseException as error:
        raise Unreadable(f"{action} {describe_foreign_error(error, function)}") from error


def describe_foreign_error(error: BaseException, function: object = None) -> str:
    """Describes an error in a user's code, with the line that raised it."""
    text, places = describe_exception(error), places_of_error(error)
    if WORKER_TRACEBACK in str(error):
        text = describe_worker_error(error)
    users, packages = (
        next(filter(is_meant, places), None) for is_meant in (is_users_place, is_in_package)
    )
    place = users or packages or place_of_function(function)
    return shorten(text, MAX_ERROR_CHARACTERS) + (f" ({place})" if place else "")


def describe_worker_error(error: BaseException) -> str:
    """Returns the last line of a worker process's traceback: type and message."""
    lines = str(error).replace("\\n", "\n").rstrip("'\"\n ").splitlines()
    return " ".join(lines[-1].split())


def places_of_error(error: BaseException) -> list[Place]:
    """Returns the lines of an error's traceback, innermost first."""
    if isinstance(error, SyntaxError) and error.filename:
        return [Place(error.filename, error.lineno)]
    inner = TRACEBACK_LINE.findall(str(error)) if WORKER_TRACEBACK in str(error) else []
    places = [
        Place(f.filename, f.lineno, f.name) for f in traceback.extract_tb(error.__traceback__)
    ]
    places += [Place(file, int(line), name) for file, line, name in inner]
    return [place for place in reversed(places) if not place.file.startswith("<frozen")]


def is_users_place(place: Place) -> bool:
    return not place.file.startswith(LIBRARY_FOLDERS)


def is_in_package(place: Place) -> bool:
    return place.file.startswith(PACKAGES_FOLDER) and not place.file.startswith(OWN_FOLDER)


def place_of_function(function: object) -> Place | None:
    """Returns the line that defines a function, or None for other objects."""
    code = getattr(inspect.unwrap(function) if callable(function) else None, "__code__", None)
    return Place(code.co_filename, code.co_firstlineno, code.co_name) if code else None


@contextmanager
def exit_as_exception() -> Iterator[None]:
    """Replaces `os._exit` by SystemExit; child processes still end."""
    own, end_process = os.getpid(), os._exit

    def exit_or_raise(status: int) -> None:
        if os.getpid() != own:
            end_process(status)
        raise SystemExit(status)

    os._exit = exit_or_raise  # type: ignore[assignment]
    try:
        yield
    finally:
        os._exit = end_process


@contextmanager
def no_arguments() -> Iterator[None]:
    """Hides the arguments of ganbench's own command line."""
    before = sys.argv
    sys.argv = ["python"]
    try:
        yield
    finally:
        sys.argv = before


# Imports


class NeighbourModules:
    """The modules that lie beside a file, importable only while code of that file runs.

    Files in different folders may therefore have neighbours of equal names.
    """

    def __init__(self, folder: Path):
        self.folder = folder.resolve()
        self.names = {p.stem for p in self.folder.iterdir() if p.suffix == ".py" or p.is_dir()}
        self.modules: dict[str, ModuleType] = {}

    @contextmanager
    def importable(self) -> Iterator[None]:
        others = {name: module for name, module in sys.modules.items() if self.hides(name, module)}
        for name in others:
            del sys.modules[name]
        before = set(sys.modules)
        sys.modules.update(self.modules)
        sys.path.insert(0, str(self.folder))
        try:
            yield
        finally:
            with suppress(ValueError):  # the user's code may have changed the path
                sys.path.remove(str(self.folder))
            self.keep_modules(before)
            sys.modules.update(others)

    def keep_modules(self, before: set[str]) -> None:
        """Removes the neighbours from Python's modules, and keeps them for the next time."""
        new = {name: module for name, module in sys.modules.items() if name not in before}
        self.modules = {name: module for name, module in new.items() if self.owns(name, module)}
        for name in self.modules:
            del sys.modules[name]

    def owns(self, name: str, module: ModuleType) -> bool:
        in_folder = folder_of_module(module).startswith(str(self.folder))
        return name.partition(".")[0] in self.names and in_folder

    def hides(self, name: str, module: ModuleType) -> bool:
        """Returns whether a module has a neighbour's name, but comes from another user's folder."""
        if name.partition(".")[0] not in self.names or self.owns(name, module):
            return False
        folder = folder_of_module(module)
        return bool(folder) and not folder.startswith(LIBRARY_FOLDERS)


def folder_of_module(module: ModuleType) -> str:
    """Returns the folder that holds a module, or an empty text for a module without a file."""
    facts = getattr(module, "__dict__", {})
    if file := facts.get("__file__"):
        return str(Path(file).resolve().parent)
    return next((str(path) for path in facts.get("__path__") or ()), "")


@dataclass(frozen=True, eq=False)
class FoundFunction:
    """A user's function, with the context that its imports need."""

    call: Callable[..., Any]
    imports: Callable[[], AbstractContextManager[None]] = nullcontext


def find_function(text: str) -> FoundFunction:
    """Imports `module:function` or `file.py:function`; searches the working folder too.

    A file may import modules that lie beside it. Raises Unreadable if the module cannot be imported
    or has no such function.
    """
    place, _, name = text.rpartition(":")
    imports: Callable[[], AbstractContextManager[None]] = nullcontext
    path = expand_home(place)
    if place.endswith(".py"):
        if not path.is_file():
            raise Unreadable(f"{text}: there is no file {place}")
        imports = NeighbourModules(path.parent).importable
    try:
        with user_code(f"{text}: {place} cannot be imported:"), imports():
            module = import_file(path) if place.endswith(".py") else import_named_module(place)
            attribute = find_attribute(module, name)
    except Unreadable as reason:
        advice = f"; {GUARD_ADVICE}" if isinstance(reason.__cause__, SystemExit) else ""
        raise Unreadable(f"{reason}{advice}") from reason.__cause__
    if not callable(attribute):
        raise Unreadable(f"{text}: {place} has no function {name}")
    return FoundFunction(attribute, imports)


def find_attribute(module: Any, name: str) -> Any:
    """Returns the attribute `a.b` of a module, or None."""
    attribute = module
    for part in name.split("."):
        attribute = getattr(attribute, part, None)
    return attribute


def import_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # dataclasses and pickle look it up
    spec.loader.exec_module(module)
    return module


def import_named_module(name: str) -> Any:
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(name)
