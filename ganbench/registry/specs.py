"""Specs: `r1(weight=10)` names a part and its settings. Grammar, spelling and suggestions."""

import ast
import difflib
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

from ganbench.errors import GanbenchError
from ganbench.local_files import is_local

Value = bool | int | float | str

SPEC_GRAMMAR = "write name or name(setting=value, ...)"
LOCAL_GRAMMAR = "write file.py:name for a part in a file beside the suite"
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
        hint = LOCAL_GRAMMAR if ":" in text.partition("(")[0] else SPEC_GRAMMAR
        raise SpecError(f"{shorten(text)!r} is not a spec; {hint}")
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
    if others := [name for name in known if name.lower() == word.lower()]:
        return f"; did you mean {others[0]!r}?"
    if close := difflib.get_close_matches(word, known, n=3, cutoff=0.6):
        swapped = [name for name in close if sorted(name) == sorted(word)]
        return f"; did you mean {(swapped or close)[0]!r}?"
    if kind and len(known) > MAX_SUGGESTED_NAMES:
        return f"; `ganbench list {kind}` shows all {len(known)}"
    return f"; there are {', '.join(known)}" if known else ""
