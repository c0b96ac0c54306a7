"""Old names that work for one more release, each with a DeprecationWarning.

There are three kinds: modules (found by an import hook, without files), hooks that a plugin's class
overrides under an old name, and attributes of the arguments of hooks. `ganbench.extend` has the stable
names.
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
    """The warning for a name of an earlier release. The next release removes the name."""


def warn_renamed(old: str, new: str, stacklevel: int = 3) -> None:
    text = f"{old} is now {new}; the next release removes the old name"
    warnings.warn(text, GanbenchDeprecationWarning, stacklevel=stacklevel)


def new_module_of(old: str) -> str | None:
    """Returns the new name of an old module, by its longest prefix in the table, or None."""
    head, tail = old, ""
    while head and head not in MODULES:
        head, _, last = head.rpartition(".")
        tail = f".{last}{tail}"
    return f"{MODULES[head]}{tail}" if head else None


class RenamedModule(ModuleType):
    """A module with names that were renamed or moved. Access to an old name warns."""

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
    """Makes the old names of its members available in a module that was not renamed."""
    sys.modules[module].__class__ = RenamedModule


class RenamedModuleFinder(MetaPathFinder, Loader):
    """Finds modules by their old names, after all other finders have failed."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith("ganbench.") or new_module_of(name) is None:
            return None
        return ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return RenamedModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Imports the new module, so that a missing module raises at once."""
        import_module(str(new_module_of(module.__name__)))


def install_renamed_modules() -> None:
    """Adds the finder of old module names to `sys.meta_path`, once."""
    if not any(isinstance(finder, RenamedModuleFinder) for finder in sys.meta_path):
        sys.meta_path.append(RenamedModuleFinder())


class RenamedHook:
    """The old name of a hook on the class that defines it, for `super()` and for callers."""

    def __init__(self, old: str, new: str, hook: Any):
        self.old, self.new, self.hook = old, new, hook

    def __get__(self, instance: object | None, owner: type) -> Any:
        warn_renamed(f"{owner.__name__}.{self.old}", self.new)
        bind = getattr(self.hook, "__get__", None)  # a plain value is not a descriptor
        return bind(instance, owner) if bind else self.hook


class RenamedHooks:
    """The base class of parts with renamed hooks: an override under an old name still works."""

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
    """Decorates a class to make each attribute available under its old name too."""

    def decorate(cls: type[C]) -> type[C]:
        for old, new in renamed.items():
            setattr(cls, old, _renamed_attribute(cls.__name__, old, new))
        return cls

    return decorate


def with_renamed_arguments(renamed: Mapping[str, str]) -> Callable[[type[C]], type[C]]:
    """Decorates a class to make its constructor accept arguments under their old names too."""

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
