"""Settings of a part: the arguments of its class, with types and defaults."""

import inspect
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from .specs import SpecError, Value, format_literal, suggest

# Metadata of a dataclass field that is not a setting: tricks replace it.
NOT_A_SETTING = {"seam": True}
TYPE_WORDS = {float: "a number", int: "a whole number", bool: "true or false", str: "a quoted text"}


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


@cache
def declared_choices(base: type) -> dict[str, tuple[str, ...]]:
    """Returns the class attributes of a base class that are one of a few texts, with these."""
    hints = {
        name: get_args(hint)[0]
        for name, hint in inspect.get_annotations(base).items()
        if get_origin(hint) is ClassVar
    }
    return {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is Literal}


def require_declared_choices(part: type, base: type, label: str) -> None:
    """Raises SpecError if a class attribute of a part is none of its texts; passes properties."""
    for name, choices in declared_choices(base).items():
        value = getattr(part, name, None)
        if value not in choices and not isinstance(value, property):
            others, last = ", ".join(map(repr, choices[:-1])), choices[-1]
            found = "it is not declared" if value is None else f"not {value!r}"
            raise SpecError(f"{label}: {name} must be {others} or {last!r}, {found}")


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
