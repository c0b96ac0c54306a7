"""Old names that work for one more release, each with a DeprecationWarning.

Three kinds: modules (by an import hook, without files), hooks that a plugin's class overrides by
their old names, and attributes of the objects that hooks are given. `ganbench.extend` has the names
that stay.
"""

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType
from typing import Any, ClassVar, TypeVar

from .renamed import MODULES, NAMES

C = TypeVar("C")
HookKinds = (FunctionType, property, classmethod, staticmethod, bool)


class GanbenchDeprecationWarning(DeprecationWarning):
    """A name of an earlier release is used; it goes with the next one."""


def warn_renamed(old: str, new: str, stacklevel: int = 3) -> None:
    text = f"{old} is now {new}; the old name goes with the next release"
    warnings.warn(text, GanbenchDeprecationWarning, stacklevel=stacklevel)


def new_module_of(old: str) -> str | None:
    """Returns where a module of an earlier release lies now, by its longest prefix in the table."""
    head, tail = old, ""
    while head and head not in MODULES:
        head, _, last = head.rpartition(".")
        tail = f".{last}{tail}"
    return f"{MODULES[head]}{tail}" if head else None


class RenamedModule(ModuleType):
    """A module some or all of whose names have other names now, or lie elsewhere."""

    def __getattr__(self, name: str) -> Any:
        home = new_module_of(self.__name__)
        place = NAMES.get(f"{self.__name__}:{name}", home and f"{home}:{name}")
        if place is None or name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        module, _, attribute = place.partition(":")
        value = getattr(import_module(module), attribute)
        is_public = getattr(import_module("ganbench.extend"), attribute, None) is value
        warn_renamed(
            f"{self.__name__}.{name}", f"{'ganbench.extend' if is_public else module}.{attribute}"
        )
        return value


def accept_renamed_names(module: str) -> None:
    """Lets a module that kept its place answer to the old names of what lies in it."""
    sys.modules[module].__class__ = RenamedModule


class RenamedModuleFinder(MetaPathFinder, Loader):
    """Finds modules by the names of an earlier release, after all other finders have failed."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith("ganbench.") or new_module_of(name) is None:
            return None
        return ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return RenamedModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Imports the module that took its place, so that a missing one is missed at once."""
        import_module(str(new_module_of(module.__name__)))


def install_renamed_modules() -> None:
    """Adds the finder of old module names to Python's, once."""
    if not any(isinstance(finder, RenamedModuleFinder) for finder in sys.meta_path):
        sys.meta_path.append(RenamedModuleFinder())


class RenamedHook:
    """A hook's old name on the class that defines the hook, for `super()` and for callers."""

    def __init__(self, old: str, new: str, hook: Any):
        self.old, self.new, self.hook = old, new, hook

    def __get__(self, instance: object | None, owner: type) -> Any:
        warn_renamed(f"{owner.__name__}.{self.old}", self.new)
        bind = getattr(self.hook, "__get__", None)  # a plain value has none
        return bind(instance, owner) if bind else self.hook


class RenamedHooks:
    """A base class of parts whose hooks had other names: an override by an old name still counts."""

    renamed_hooks: ClassVar[Mapping[str, str]] = {}  # old name -> new name

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for old, new in cls.renamed_hooks.items():
            override = vars(cls).get(old)
            if isinstance(override, HookKinds) and new not in vars(cls):
                warn_renamed(f"{cls.__name__}.{old}", new)
                setattr(cls, new, override)
            elif isinstance(vars(cls).get(new), HookKinds) and override is None:
                setattr(cls, old, RenamedHook(old, new, vars(cls)[new]))


def with_renamed_attributes(renamed: Mapping[str, str]) -> Callable[[type[C]], type[C]]:
    """Decorates a class: each attribute also answers to its old name."""

    def decorate(cls: type[C]) -> type[C]:
        for old, new in renamed.items():
            setattr(cls, old, _renamed_attribute(cls.__name__, old, new))
        return cls

    return decorate


def with_renamed_arguments(renamed: Mapping[str, str]) -> Callable[[type[C]], type[C]]:
    """Decorates a class: its constructor also takes these arguments by their old names."""

    def decorate(cls: type[C]) -> type[C]:
        construct = cls.__init__

        @wraps(construct)
        def init(self: Any, *values: Any, **given: Any) -> None:
            for old in renamed.keys() & given.keys():
                warn_renamed(f"{cls.__name__}({old}=...)", f"{renamed[old]}=...")
                given[renamed[old]] = given.pop(old)
            construct(self, *values, **given)

        cls.__init__ = init  # type: ignore[method-assign]
        return cls

    return decorate


def _renamed_attribute(owner: str, old: str, new: str) -> property:
    def get(self: object) -> Any:
        warn_renamed(f"{owner}.{old}", new)
        return getattr(self, new)

    def set(self: object, value: Any) -> None:
        warn_renamed(f"{owner}.{old}", new)
        setattr(self, new, value)

    return property(get, set, doc=f"The old name of `{new}`.")
