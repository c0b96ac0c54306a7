"""Registries: names of parts, each with its class, which is imported on use."""

import ast
import inspect
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ganbench.local_files import find_local_file, is_local, load_local_part, part_of, version_of
from ganbench.source_hash import hash_part_of_package

from .part_errors import (
    MAX_ERROR_CHARACTERS,
    MISTAKES,
    LocalPart,
    PartError,
    PluginPart,
    describe_exception,
    entry_points_of,
    find_class_line,
    find_error_line,
    plugin_parts,
)
from .part_sources import find_module, parse_module, read_about, read_signature
from .settings import coerce_setting, is_setting_type, require_declared_choices, settings_of
from .specs import Spec, SpecError, parse_spec, shorten, suggest

# No hash of training code covers these kinds. Stored values have the version that made them.
MEASURING_KINDS = ("metric", "extractor", "protocol")


@dataclass(frozen=True, eq=False)
class Registry:
    """The parts of one kind, as entries `name -> "module:Class"`, and the parts of plugins.

    A class in a registry takes its settings as annotated arguments: bool, int, float, str, or a Literal of
    texts. Its constructor raises ValueError for an invalid setting. Its `version` counts the changes of
    its behaviour; plugins that measure have one from the hash of their source. `neutral` maps a setting
    that was added later to the value that keeps the former behaviour. At that value the setting is not
    part of the identity.
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

    def plugin_targets(self) -> list[str]:
        """Returns `module:Class` of all parts of plugins."""
        return [target for name, target in self.modules().items() if name not in self.entries]

    def modules(self) -> dict[str, str]:
        own = {name: f"{self.package}.{target}" for name, target in self.entries.items()}
        former = entry_points_of(self.former_group) if self.former_group else {}
        return former | entry_points_of(self.group) | own

    def load(self, name: str) -> Any:
        """Imports and returns the class of a name.

        Raises SpecError for an unknown name, or for a foreign class with a wrong declaration.
        """
        loaded = self.import_class(name)
        if name not in self.entries and (base := self.base_class()):
            require_declared_choices(loaded, base, f"{self.kind} {name}")
        return loaded

    def import_class(self, name: str) -> Any:
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
            if (base := self.base_class()) and not issubclass(loaded, base):
                raise TypeError(f"{part.target} is no {self.kind}: derive it from {base.__name__}")
            if self.kind in MEASURING_KINDS:
                use_source_as_version(loaded)
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
            node.name for node in ast.walk(parse_module(module)) if isinstance(node, ast.ClassDef)
        }
        is_missing = isinstance(error, AttributeError) and error.name == class_name
        if is_missing and class_name not in classes:
            hint = suggest(class_name, classes)
            return f"{label}: {path} has no class {class_name!r}, but {self.entry_place(name)} names it{hint}"
        text = shorten(describe_exception(error), MAX_ERROR_CHARACTERS)
        place = find_error_line(error, self.package.partition(".")[0])
        if not place or str(Path(__file__).parent) in place:  # a check of this package found it
            place = find_class_line(f"{module}:{class_name}")
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


def use_source_as_version(part: type) -> None:
    """Sets the version of a plugin's class to a number made from the hash of its source.

    The hash covers what the class imports from its package. A class without source keeps its version.
    """
    if part.__module__.partition(".")[0] != "ganbench":
        with suppress(OSError, ImportError, ValueError, SyntaxError):
            part.version = version_of(hash_part_of_package(part.__module__))  # type: ignore[attr-defined]


def require_initialized(part: Any) -> None:
    """Raises AttributeError for a module of torch with an `__init__` that calls no super()."""
    if hasattr(type(part), "add_module") and "_modules" not in vars(part):
        raise AttributeError(f"{type(part).__name__}.__init__ must call super().__init__()")
