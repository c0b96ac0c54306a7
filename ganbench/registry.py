"""Specs and registries: `r1(weight=10)` names a part and its settings.

Suites, the command line and tables use specs. A registry maps names to classes without importing them, so
listing the parts does not import torch.
"""

import ast
import difflib
import inspect
import re
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ganbench.errors import GanbenchError
from ganbench.local_files import (
    MODULE_PREFIX,
    find_local_file,
    is_local,
    known_files,
    load_local_part,
    part_of,
)

Value = bool | int | float | str

SPEC_GRAMMAR = "write name or name(setting=value, ...)"
BACKSLASH_REMEDY = (
    "a backslash begins an escape; write paths with forward slashes, such as C:/Users/me/photos"
)
MAX_SUGGESTED_NAMES = 12  # longer lists are left to `ganbench list`
# A name, or `my_tricks.py:Blur`, and settings.
SPEC_PATTERN = re.compile(
    r"\s*((?:[^\s:()'\",][^\n:()'\",]*\.py:)?[A-Za-z_][\w-]*)\s*(?:\(([^\n]*)\))?\s*", re.ASCII
)
MAX_ABS_SETTING = 1e300  # excludes inf and nan; every allowed integer converts to a float
MAX_SPEC_CHARACTERS = 1000  # longer texts are not specs
MAX_ERROR_CHARACTERS = 300  # of a plugin's error message
PLUGIN_GROUP_PREFIX = "ganbench."


class SpecError(GanbenchError, ValueError):
    """A name or a setting in a spec is invalid."""


@dataclass(frozen=True)
class Spec:
    """A part's name and its settings, sorted by name."""

    name: str
    settings: tuple[tuple[str, Value], ...] = ()

    def __str__(self) -> str:
        inside = ", ".join(f"{key}={format_literal(value)}" for key, value in self.settings)
        return f"{self.name}({inside})" if inside else self.name


def format_literal(value: Value) -> str:
    """Returns the shortest text that parses to the value: 10, 0.9, 1e-05, true, 'text'."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return repr(value)


def parse_spec(text: str) -> Spec:
    """Parses a spec.

    Raises SpecError for values that are not literals, duplicate settings, inf and nan.
    """
    form = SPEC_PATTERN.fullmatch(text) if len(text) <= MAX_SPEC_CHARACTERS else None
    if form is None or not is_ascii_outside_quotes(form[2] or ""):
        raise SpecError(f"{shorten(text)!r} is not a spec; {SPEC_GRAMMAR}")
    name, inside = form.groups()
    if "-" in name and not is_local(name):
        raise SpecError(f"{text!r}: names are written with _, so {name.replace('-', '_')!r}")
    return Spec(name, tuple(sorted(_parse_settings(text, inside or "").items())))


def is_ascii_outside_quotes(inside: str) -> bool:
    """Returns whether all but quoted texts is ASCII, because Python normalizes identifiers."""
    return re.sub(r"'[^']*'|\"[^\"]*\"", "", inside).isascii()


def split_specs(text: str) -> list[str]:
    """Splits a list of specs at the commas outside of parentheses."""
    return [part.strip() for part in re.split(r",(?![^(]*\))", text) if part.strip()]


def shorten(text: str, most: int = 80) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def _parse_settings(text: str, inside: str) -> dict[str, Value]:
    refusal = SpecError(f"{shorten(text)!r} is not a spec; {SPEC_GRAMMAR}")
    try:
        with warnings.catch_warnings(action="ignore"):  # an unknown escape in a text: D:\photos
            call = ast.parse(f"_({inside})", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        if "\\" in inside:
            raise SpecError(f"{shorten(text)!r} is not a spec: {BACKSLASH_REMEDY}") from None
        raise refusal from None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
        raise refusal
    settings: dict[str, Value] = {}
    for keyword in call.keywords:
        if keyword.arg is None:
            raise refusal
        if keyword.arg in settings:
            raise SpecError(f"{text!r} sets {keyword.arg} twice")
        settings[keyword.arg] = _parse_value(text, keyword.arg, keyword.value)
    return settings


def _parse_value(text: str, key: str, node: ast.expr) -> Value:
    match node:
        case ast.Name("true" | "True") | ast.Constant(True):
            return True
        case ast.Name("false" | "False") | ast.Constant(False):
            return False
        case ast.Constant(str(value)):
            return value
        case ast.Constant(int(value) | float(value)) if abs(value) <= MAX_ABS_SETTING:
            return value
        case ast.UnaryOp(ast.USub(), ast.Constant(int(value) | float(value))):
            if not isinstance(value, bool) and abs(value) <= MAX_ABS_SETTING:
                return -value
        case ast.Name(word):
            raise SpecError(f"{text!r}: {key}={word} is not a value; quote a text: {key}='{word}'")
    raise SpecError(f"{text!r}: {key} needs a finite number, true, false or a quoted text")


def suggest(word: str, known: Iterable[str], kind: str = "") -> str:
    """Returns the end of an error message: `; did you mean 'hinge'?` or the known names.

    If they are many and `kind` is a kind of `ganbench list`, it names this command instead.
    """
    known = sorted(known)
    if close := difflib.get_close_matches(word, known, n=3, cutoff=0.6):
        swapped = [name for name in close if sorted(name) == sorted(word)]
        return f"; did you mean {(swapped or close)[0]!r}?"
    if kind and len(known) > MAX_SUGGESTED_NAMES:
        return f"; `ganbench list {kind}` shows all {len(known)}"
    return f"; there are {', '.join(known)}" if known else ""


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
        place = _place_of(error, self.top_module) or _place_of_class(self.target)
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
        place = _place_of(error, self.top_module)
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


def _place_of(error: BaseException, top_module: str) -> str:
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


def _place_of_class(target: str) -> str:
    """Returns the line of a class `module:Class`, or the entry point if there is no such line."""
    module, _, name = target.partition(":")
    node, found = _find_class(module, name), find_module(module)
    return f"line {node.lineno} of {found}" if node and found else f"entry point {target}"


def describe_exception(error: BaseException) -> str:
    """Returns type and message of an exception as one line."""
    return " ".join("".join(traceback.format_exception_only(error)[-1:]).split())


def explain_error(error: BaseException) -> str:
    """Returns an error as one line; for a plugin's error, with part, package, file and line."""
    part = None if isinstance(error, GanbenchError) else find_plugin_part(error)
    return describe_exception(error) if part is None else str(part.failure(error))


@dataclass(frozen=True, eq=False)
class Registry:
    """The parts of one kind, as entries `name -> "module:Class"`, and the parts of plugins.

    A class in a registry takes its settings as annotated arguments: bool, int, float, str, or a Literal of
    texts. Its constructor raises ValueError for an invalid setting. Its `version` counts the changes of
    its behaviour. `neutral` maps a setting that was added later to the value that keeps the former
    behaviour. At that value the setting is not part of the identity.
    """

    kind: str
    package: str  # the Python package of the entries
    group: str  # the entry-point group for plugins
    entries: Mapping[str, str]
    former_group: str = ""  # the group's name in the last release, still supported

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.modules()))

    @property
    def list_kind(self) -> str:
        """The argument of `ganbench list` that shows this registry."""
        return self.group.rpartition(".")[2]

    def modules(self) -> dict[str, str]:
        own = {name: f"{self.package}.{target}" for name, target in self.entries.items()}
        former = entry_points_of(self.former_group) if self.former_group else {}
        return former | entry_points_of(self.group) | own

    def load(self, name: str) -> Any:
        """Imports and returns the class of a name; raises SpecError for an unknown name."""
        modules = self.modules()
        if is_local(name):
            with self.explained_errors_of(name):
                return load_local_part(self.kind, name, self.base_class())
        if name not in modules:
            hint = suggest(name, modules, self.list_kind)
            raise SpecError(f"no {self.kind} is called {shorten(name)!r}{hint}")
        if name in self.entries:
            with self.explained_own_errors(name):
                return import_target(modules[name])
        part = self.plugin_part(name)
        with part.explained_errors():
            loaded = import_target(part.target)
            if not isinstance(loaded, type):
                raise TypeError(f"{part.target} is not a class")
            return loaded

    def target(self, name: str) -> str:
        """Returns `module:Class` for a name; the module of a local file is one once it is loaded."""
        if not is_local(name):
            return self.modules()[name]
        return f"{find_local_file(name).module_name}:{part_of(name)}"

    def base_class(self) -> type | None:
        """Returns the base class of this kind, such as Trick, if the registry's package has one."""
        try:
            module = import_module(f"{self.package}.base")
        except ModuleNotFoundError:
            return None
        return getattr(module, self.kind.removesuffix(" set").capitalize(), None)

    def plugin_part(self, name: str) -> PluginPart:
        """Returns a plugin's part of this registry, for errors."""
        if is_local(name):
            return LocalPart(f"{self.kind} {name}", name.rpartition(":")[0], self.target(name))
        target = self.modules()[name]
        packages = {part.target: part.package for part in plugin_parts()}
        return PluginPart(
            f"{self.kind} {name}", packages.get(target, target.partition(".")[0]), target
        )

    def explained_errors_of(self, name: str) -> AbstractContextManager[None]:
        """Explains errors of the part of this name, a plugin's or an own one."""
        if name in self.entries:
            return self.explained_own_errors(name)
        is_plugin = is_local(name) or name in self.modules()
        return self.plugin_part(name).explained_errors() if is_plugin else nullcontext()

    @contextmanager
    def explained_own_errors(self, name: str) -> Iterator[None]:
        """Raises PartError, with file and line, for mistakes in the file of an own part."""
        try:
            yield
        except MISTAKES as error:
            raise PartError(self.explain_own_error(name, error)) from error

    def explain_own_error(self, name: str, error: Exception) -> str:
        """Returns the sentence of a mistake in an own part's file, or in its registry entry."""
        module, _, class_name = f"{self.package}.{self.entries[name]}".partition(":")
        label, path = f"{self.kind} {name}", find_module(module)
        if path is None or not path.is_file():
            return f"{label}: there is no module {module}, but {self.entry_place(name)} names it"
        classes = {
            node.name for node in ast.walk(_source(module)) if isinstance(node, ast.ClassDef)
        }
        is_missing = isinstance(error, AttributeError) and error.name == class_name
        if is_missing and class_name not in classes:
            hint = suggest(class_name, classes)
            return f"{label}: {path} has no class {class_name!r}, but {self.entry_place(name)} names it{hint}"
        text = shorten(describe_exception(error), MAX_ERROR_CHARACTERS)
        place = _place_of(error, self.package.partition(".")[0])
        if not place or place.endswith(__file__):  # a check of the registry found it
            place = _place_of_class(f"{module}:{class_name}")
        return f"{label} has a mistake: {text} ({place})"

    def entry_place(self, name: str) -> str:
        """Returns file and line of a part's entry in its registry."""
        path = find_module(self.package)
        lines = path.read_text(encoding="utf-8").splitlines() if path else []
        entry = f'"{self.entries[name]}"'
        numbers = [number for number, line in enumerate(lines, 1) if entry in line]
        return f"line {numbers[0]} of {path}" if numbers else f"the registry {self.package}"

    def resolve(self, text: str) -> Spec:
        """Returns the spec with every setting of the class, each converted to its declared type.

        Raises SpecError for an unknown name or setting, or a missing or invalid value.
        """
        spec = parse_spec(text)
        with self.explained_errors_of(spec.name):
            declared = settings_of(self.load(spec.name))
        given = dict(spec.settings)
        for key in given:
            if key not in declared:
                raise SpecError(
                    f"{self.kind} {spec.name} has no setting {key!r}{suggest(key, declared)}"
                )
        for key, (wanted, default) in declared.items():
            if key in given:
                self.require_setting_type(spec.name, key, wanted)
                given[key] = coerce_setting(given[key], wanted, f"{self.kind} {text}: {key}")
            elif default is inspect.Parameter.empty:
                raise SpecError(f"{self.kind} {text}: {key} must be given")
            else:
                given[key] = default
        return Spec(spec.name, tuple(sorted(given.items())))

    def require_setting_type(self, name: str, key: str, wanted: Any) -> None:
        """Raises SpecError for a setting with no type annotation, or with one of another type."""
        file = f" in {name.rpartition(':')[0]}" if is_local(name) else ""
        setting = f"{self.kind} {name}: the setting {key} of {part_of(name)}{file}"
        if wanted is Any:
            raise SpecError(f"{setting} needs a type annotation, such as `{key}: float`")
        if not is_setting_type(wanted):
            raise SpecError(
                f"{setting} has the type {wanted}, but settings are bool, int, float, str or a Literal "
                f"of texts: write `{key}: float`"
            )

    def label(self, text: str) -> str:
        """Returns the canonical text of a spec, without settings at their defaults."""
        spec = self.resolve(text)
        declared = settings_of(self.load(spec.name))
        changed = tuple((key, value) for key, value in spec.settings if value != declared[key][1])
        return str(Spec(spec.name, changed))

    def make(self, text: str) -> Any:
        """Returns an instance of the part; raises SpecError for an invalid spec."""
        spec = self.resolve(text)
        with self.explained_errors_of(spec.name):
            try:
                made = self.load(spec.name)(**dict(spec.settings))
            except ValueError as wrong:
                raise SpecError(f"{self.kind} {text}: {wrong}") from wrong
            require_initialized(made)
        return made

    def identity(self, text: str) -> dict[str, Any]:
        """Returns the plain data that determine results: name, version and settings."""
        spec = self.resolve(text)
        part = self.load(spec.name)
        neutral = getattr(part, "neutral", {})
        settings = {k: v for k, v in spec.settings if k not in neutral or neutral[k] != v}
        with self.explained_errors_of(spec.name):
            facts = {"name": part_of(spec.name), "version": part.version, "settings": settings}
        source = {"source": find_local_file(spec.name).digest} if is_local(spec.name) else {}
        return facts | source

    def about(self, name: str) -> str:
        """Returns the first paragraph of the module's docstring, without importing the module."""
        return read_about(self.modules()[name])

    def signature(self, name: str) -> str:
        """Returns settings and defaults as in the part's source, without importing the module."""
        return read_signature(self.modules()[name])


def import_target(target: str) -> Any:
    """Imports the module of `module:Class` and returns the class."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module.strip()), attribute.partition("[")[0].strip())


def require_initialized(part: Any) -> None:
    """Raises AttributeError for a module of torch with an `__init__` that calls no super()."""
    if hasattr(type(part), "add_module") and "_modules" not in vars(part):
        raise AttributeError(f"{type(part).__name__}.__init__ must call super().__init__()")


def settings_of(part: Any) -> dict[str, tuple[Any, Any]]:
    """Returns the settings of a class: name -> (type, default)."""
    return _declared_settings(part, part.__init__)


@cache
def _declared_settings(part: Any, init: Any) -> dict[str, tuple[Any, Any]]:
    """Returns the settings of a class by its constructor; plans need them for every trial."""
    hints = get_type_hints(init)
    parameters = inspect.signature(part).parameters.values()
    given_by_program = (
        {f.name for f in fields(part) if f.metadata == NOT_A_SETTING}
        if is_dataclass(part)
        else set()
    )
    named = (p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
    return {
        p.name: (hints.get(p.name, Any), p.default) for p in named if p.name not in given_by_program
    }


def is_setting_type(wanted: Any) -> bool:
    """Returns whether a spec can hold a type: a plain one, an optional one or a Literal."""
    if get_origin(wanted) in (Union, UnionType):
        kinds = [kind for kind in get_args(wanted) if kind is not type(None)]
        return len(kinds) == 1 and is_setting_type(kinds[0])
    return get_origin(wanted) is Literal or wanted in TYPE_WORDS


def coerce_setting(value: Value, wanted: Any, where: str) -> Value:
    """Converts a value to the declared type of a setting, so that 10 and 10.0 are equal.

    Raises SpecError if the value does not fit the type.
    """
    if get_origin(wanted) in (Union, UnionType):
        (wanted,) = (kind for kind in get_args(wanted) if kind is not type(None))
    if get_origin(wanted) is Literal:
        if value in get_args(wanted):
            return value
        raise SpecError(f"{where} is {value!r}{suggest(str(value), map(str, get_args(wanted)))}")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if wanted is float and number:
        return float(value) + 0.0  # makes -0.0 and 0.0 equal
    if wanted is int and number and value == int(value):
        return int(value)
    if wanted in (bool, str) and isinstance(value, wanted):
        return value
    raise SpecError(f"{where} needs {TYPE_WORDS.get(wanted, wanted)}, not {format_literal(value)}")


# Metadata of a dataclass field that is not a setting: tricks replace it.
NOT_A_SETTING = {"seam": True}
TYPE_WORDS = {float: "a number", int: "a whole number", bool: "true or false", str: "a quoted text"}


@cache
def _source(module: str) -> ast.Module:
    """Returns the syntax tree of a module; an empty one if its source cannot be read."""
    try:
        if path := find_module(module):
            return ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):  # a broken plugin is listed without a description
        pass
    return ast.Module(body=[], type_ignores=[])


def find_module(module: str) -> Path | None:
    """Returns the source file of a module, or None; imports only its parent packages."""
    try:
        module_spec = find_spec(module)
    except (Exception, SystemExit):  # of a plugin's package
        return None
    return Path(module_spec.origin) if module_spec and module_spec.origin else None


def read_about(target: str) -> str:
    text = ast.get_docstring(_source(target.partition(":")[0])) or ""
    return " ".join(text.split("\n\n")[0].split())


def read_signature(target: str) -> str:
    module, _, name = target.partition(":")
    node = _find_class(module, name)
    if node is None:
        return ""
    init = _find_init(node, module)
    settings = _init_arguments(init, module) if init else _dataclass_fields(node, module)
    return ", ".join(f"{key}={default}" if default else key for key, default in settings.items())


def _defining_module(module: str, name: str) -> str:
    """Returns the module that defines a name, by the imports of the module that uses it."""
    for node in _source(module).body:
        if isinstance(node, ast.ImportFrom) and name in (alias.name for alias in node.names):
            package = module.rsplit(".", node.level)[0] + "." if node.level else ""
            return f"{package}{node.module}"
    return module


def _find_class(module: str, name: str) -> ast.ClassDef | None:
    classes = (node for node in _source(module).body if isinstance(node, ast.ClassDef))
    return next((node for node in classes if node.name == name), None)


def _find_init(node: ast.ClassDef, module: str) -> ast.FunctionDef | None:
    """Returns the `__init__` of a class, own or inherited, or None."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return item
    for base in map(ast.unparse, node.bases):
        home = _defining_module(module, base)
        if (parent := _find_class(home, base)) and (inherited := _find_init(parent, home)):
            return inherited
    return None


def _init_arguments(init: ast.FunctionDef, module: str) -> dict[str, str]:
    names = [argument.arg for argument in init.args.args[1:]]
    defaults = [_default_text(value, module) for value in init.args.defaults]
    return dict(zip(names, [""] * (len(names) - len(defaults)) + defaults, strict=True))


def _dataclass_fields(node: ast.ClassDef, module: str) -> dict[str, str]:
    """Returns the settings of a dataclass, with those of its bases first."""
    settings: dict[str, str] = {}
    for base in map(ast.unparse, node.bases):
        home = _defining_module(module, base)
        if parent := _find_class(home, base):
            settings |= _dataclass_fields(parent, home)
    if not any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        return settings
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and "ClassVar" not in ast.unparse(item.annotation):
            default = _default_text(item.value, module) if item.value else ""
            if "init=False" not in default and "NOT_A_SETTING" not in default:
                settings[ast.unparse(item.target)] = default
    return settings


def _default_text(value: ast.expr, module: str) -> str:
    """Returns the source of a default; a constant's name is replaced by its value."""
    text = ast.unparse(value)
    if not isinstance(value, ast.Name):
        return text
    for item in _source(_defining_module(module, text)).body:
        if isinstance(item, ast.Assign) and ast.unparse(item.targets[0]) == text:
            return ast.unparse(item.value)
    return text
