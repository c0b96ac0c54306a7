"""Old names that work for one more release, each with a DeprecationWarning.

Three kinds: modules (by an import hook, without files), hooks that a plugin's class overrides by
their old names, and attributes of the objects that hooks are given. `ganbench.extend` has the names
that stay.
"""

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType
from typing import Any, ClassVar, TypeVar

from .renamed import MODULES, NAMES

C = TypeVar("C")
HookKinds = (FunctionType, property, classmethod, staticmethod)


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
    """A module of an earlier release: its names are those of the module that took its place."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        default = f"{new_module_of(self.__name__)}:{name}"
        module, _, attribute = NAMES.get(f"{self.__name__}:{name}", default).partition(":")
        warn_renamed(f"{self.__name__}.{name}", f"{module}.{attribute}")
        return getattr(import_module(module), attribute)


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


def with_renamed_attributes(renamed: Mapping[str, str]) -> Callable[[type[C]], type[C]]:
    """Decorates a class: each attribute also answers to its old name."""

    def decorate(cls: type[C]) -> type[C]:
        for old, new in renamed.items():
            setattr(cls, old, _renamed_attribute(cls.__name__, old, new))
        return cls

    return decorate


def _renamed_attribute(owner: str, old: str, new: str) -> property:
    def get(self: object) -> Any:
        warn_renamed(f"{owner}.{old}", new)
        return getattr(self, new)

    return property(get, doc=f"The old name of `{new}`.")
