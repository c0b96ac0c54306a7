"""Loads suite files: parses TOML, applies overrides, locates errors by line and key."""

import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ganbench.registry import suggest

from .suite import (
    AnalysisConfig,
    BudgetProfile,
    ConfigModel,
    ExclusionConfig,
    GridConfig,
    HyperparameterAxes,
    LimitsConfig,
    Location,
    Suite,
    SuiteError,
    SuiteValidationError,
    TrickAxes,
)


def load_suite(path: Path, overrides: Sequence[str] = ()) -> Suite:
    """Reads and checks a suite; raises SuiteError with all errors."""
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except FileNotFoundError:
        suites = [problems.stem for problems in Path("suites").glob("*.toml")]
        raise SuiteError(f"there is no suite {path}{suggest(path.stem, suites)}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise SuiteError(f"{path}: {error}") from None
    given = {override: apply_override(content, override) for override in overrides}
    try:
        return Suite.model_validate(content)
    except ValidationError as error:
        problems: dict[Location, str] = {}  # a union of types gives an error per type
        for details in error.errors():
            location = error_location(details)
            problems.setdefault(location, format_problem(path, text, given, location, details))
        raise SuiteError("\n".join(problems.values())) from None


def apply_override(content: dict[str, Any], override: str) -> Location:
    """Applies an override like `budget.cpu.images=1000`; returns the changed location.

    The value is parsed as TOML. A value that is not TOML is taken as text. Raises SuiteError for a
    malformed override or an unknown path.
    """
    path, equals, text = override.partition("=")
    if not equals or not path.strip():
        raise SuiteError(f"-o {override}: write key=value, the key with dots: budget.cpu.images")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *outer, last = path.strip().split(".")
    place: Any = content
    location: list[int | str] = []
    try:
        for key in outer:
            location.append(key if isinstance(place, dict) else int(key))
            place = place.setdefault(key, {}) if isinstance(place, dict) else place[int(key)]
        location.append(last if isinstance(place, dict) else int(last))
        place[location[-1]] = value
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise SuiteError(f"-o {override}: there is no {path.strip()} to set") from None
    return tuple(location)


def error_location(details: Any) -> Location:
    """Returns an error's location without pydantic's names of union branches."""
    if isinstance(misfit := details.get("ctx", {}).get("error"), SuiteValidationError):
        return misfit.location
    *outer, last = details["loc"] or ("",)
    keys = [part for part in outer if not is_union_branch(part)]
    return tuple(
        keys + [last] * (details["type"] == "extra_forbidden" or not is_union_branch(last))
    )


def format_problem(
    path: Path, text: str, given: dict[str, Location], location: Location, details: Any
) -> str:
    """Formats an error as one line: file and line (or override), key, explanation."""
    where = next((f"-o {o}" for o, at in given.items() if at == location[: len(at)]), None)
    if where is None:
        line = find_line(text, location)
        where = f"{path}:{line}" if line else str(path)
    key = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in location).lstrip(".")
    return ": ".join(filter(None, [where, key, format_error_sentence(details, location)]))


def is_union_branch(part: int | str) -> bool:
    """Returns whether a part of a location is pydantic's name of a union branch, not a key."""
    return (
        isinstance(part, str)
        and re.search(r"[\[(]|^(constrained-)?(int|float|str|list|tuple|literal)$", part)
        is not None
    )


def format_error_sentence(details: Any, location: Location) -> str:
    if details["type"] == "extra_forbidden":
        return f"there is no such key{suggest(str(location[-1]), keys_at_location(location[:-1]))}"
    if details["type"] == "missing":
        return "this key is required"
    if details["type"] == "list_type" and isinstance(details["input"], dict):
        return f"this is a list of tables: write [[{location[-1]}]], in double brackets"
    if details["type"] == "value_error":
        return str(details["ctx"]["error"])
    return f"{details['msg'][0].lower()}{details['msg'][1:]}, not {details['input']!r}"


def keys_at_location(location: Location) -> Iterable[str]:
    parts: dict[Location, type[ConfigModel]] = {
        (): Suite,
        ("grid",): GridConfig,
        ("grid", "tricks"): TrickAxes,
        ("grid", "plan"): HyperparameterAxes,
        ("exclude",): ExclusionConfig,
        ("budget",): BudgetProfile,
        ("limits",): LimitsConfig,
        ("analysis",): AnalysisConfig,
    }
    names = tuple(part for part in location if isinstance(part, str))
    part = parts.get(names[:1] if names[:1] == ("budget",) else names)
    return [field.alias or name for name, field in part.model_fields.items()] if part else []


def find_line(text: str, location: Location) -> int | None:
    """Returns the line of a key, or of the innermost table around it that has a line."""
    lines = find_key_lines(text)
    around = (location[:length] for length in range(len(location), 0, -1))
    return next((lines[place] for place in around if place in lines), None)


def find_key_lines(text: str) -> dict[Location, int]:
    """Returns the first line of each table and key.

    Locations have the form of pydantic's: tables of an array carry their index.
    """
    lines: dict[Location, int] = {}
    counts: dict[str, int] = {}
    table: Location = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*(\[\[?)\s*([\w.\-\" ]+?)\s*\]", line):
            names = header[2].replace('"', "").split(".")
            if header[1] == "[[":
                counts[names[0]] = counts.get(names[0], -1) + 1
            inside = (counts[names[0]],) if names[0] in counts else ()
            table = (names[0], *inside, *names[1:])
            lines.setdefault(table, number)
        elif key := re.match(r"\s*([\w.\-\"]+)\s*=", line):
            lines.setdefault((*table, *key[1].replace('"', "").split(".")), number)
    return lines
