"""Loads suite files: parses TOML, applies overrides, locates errors by line and key."""

import difflib
import re
import reprlib
import stat
import tomllib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ganbench.counts import count_of
from ganbench.local_files import LocalFileError, resolve_beside, trust_local_files
from ganbench.registry import shorten, suggest

from .config_model import ConfigModel
from .numerics_axes import NumericsAxes
from .suite import (
    AdaptiveSeeds,
    AnalysisConfig,
    BudgetProfile,
    ExclusionConfig,
    GateConfig,
    GridConfig,
    HyperparameterAxes,
    LimitsConfig,
    Suite,
    TrickAxes,
)
from .suite_errors import Location, SuiteError, SuiteValidationError
from .suite_files import known_suites
from .suite_limits import MAX_SUITE_BYTES

MAX_OVERRIDE_CHARACTERS = 120  # of an override in an error
MAX_NAMES_SHOWN = 3  # files of a folder
MAX_PROBLEMS = 50  # errors that are printed
WRONG_TYPES = ("int_type", "float_type", "literal_error", "tuple_type", "list_type")
LISTS_OF_TABLES = ("grid", "exclude")
DEEP_KEY = re.compile(r"(?<![\w\"'-])(?:[\w\"'-]+\s*\.\s*){20}")  # 20 levels: a.a.a...


def load_suite(path: Path, overrides: Sequence[str] = (), trust: bool = False) -> Suite:
    """Reads and checks a suite; raises SuiteError with all errors.

    With `trust`, code of local files that it names may run, now and later in this process.
    """
    trust_local_files(trust)
    text = read_suite_text(path)
    try:
        content = parse_toml(text)
    except (ValueError, RecursionError) as error:
        raise SuiteError(f"{path}: {explain_syntax(text, error)}") from None
    given = {override: apply_override(content, override) for override in overrides}
    try:
        with resolve_beside(path.parent):
            return Suite.model_validate(content, context={"folder": path.parent})
    except ValidationError as error:
        raise SuiteError("\n".join(format_problems(path, text, given, error))) from None


def read_suite_text(path: Path) -> str:
    """Returns the text of a suite without a byte-order mark.

    Raises SuiteError for a missing file, a folder, a device, a large file, and text that is not UTF-8.
    """
    try:
        check_suite_file(path)
        with path.open("rb") as file:
            content = file.read(MAX_SUITE_BYTES + 1)
        return content.decode("utf-8-sig")
    except SuiteError:
        raise
    except FileNotFoundError:
        raise SuiteError(missing_suite_sentence(path)) from None
    except UnicodeDecodeError as error:
        raise SuiteError(
            f"{path} is not text in UTF-8 (byte {error.start}): save it in this encoding"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        reason = getattr(error, "strerror", None) or str(error)
        raise SuiteError(f"{shorten(str(path))} cannot be read: {reason}") from None


def missing_suite_sentence(path: Path) -> str:
    """Returns the sentence for a file or a name that does not exist, with a similar one."""
    beside = {Path(name).stem: name for name in list_suites_in(path.parent)}
    if path.suffix:
        folder = "" if path.parent.is_dir() else f": there is no folder {shorten(str(path.parent))}"
        hint = suggest_similar(path.stem, beside)
        return f"there is no file {shorten(str(path))}{folder}{hint}"
    hint = suggest_similar(path.name, {name: name for name in known_suites()} | beside)
    return f"there is no suite {shorten(str(path))}{hint or '; `ganbench list suites` shows all'}"


def suggest_similar(word: str, names: dict[str, str]) -> str:
    """Returns `; did you mean 'mine.toml'?` for a similar word, or nothing."""
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"; did you mean {names[close[0]]!r}?" if close else ""


def list_suites_in(folder: Path) -> list[str]:
    """Returns the names of the TOML files in a folder."""
    try:
        return sorted(path.name for path in folder.glob("*.toml"))
    except OSError:
        return []


def check_suite_file(path: Path) -> None:
    """Raises SuiteError for a folder, device or pipe, and for a file above the size limit."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        names = ", ".join(list_suites_in(path)[:MAX_NAMES_SHOWN])
        remedy = f"name a file in it, such as {names}" if names else "name a .toml file"
        raise SuiteError(f"{path} is a folder: {remedy}")
    if not stat.S_ISREG(status.st_mode):
        raise SuiteError(f"{path} is a device or a pipe: name a .toml file")
    if status.st_size > MAX_SUITE_BYTES:
        raise SuiteError(
            f"{path} has {status.st_size:,} bytes, and such a file has at most {MAX_SUITE_BYTES:,}"
        )


def parse_toml(text: str) -> dict[str, Any]:
    """Parses TOML; raises ValueError, or RecursionError if it is nested too deeply."""
    if DEEP_KEY.search(text):  # the parser would take minutes
        raise RecursionError
    return tomllib.loads(text)


def explain_syntax(text: str, error: Exception) -> str:
    """Returns the sentence of a TOML error, with the remedy for nesting and backslashes."""
    if isinstance(error, RecursionError):
        return "its lists or tables are nested too deeply: 4 levels suffice"
    if (place := re.search(r"at line (\d+)", str(error))) is None:
        return str(error)
    if "\\" not in text.split("\n")[int(place[1]) - 1]:
        return str(error)
    return (
        f"{error}: in double quotes a backslash begins an escape; write paths with forward slashes "
        "(C:/Users/me), and other texts in single quotes"
    )


def apply_override(content: dict[str, Any], override: str) -> Location:
    """Applies an override like `budget.cpu.images=1000`; returns the changed location.

    The value is parsed as TOML. A value that is not TOML is taken as text. Raises SuiteError for a
    malformed override or an unknown path.
    """
    path, equals, text = override.partition("=")
    if not equals or not path.strip():
        raise SuiteError(f"-o {override}: write key=value, the key with dots: budget.cpu.images")
    try:
        value = parse_toml(f"value = {text}")["value"]
    except (ValueError, RecursionError):
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
        hint = suggest_place(last, is_override=True) if outer else ""
        raise SuiteError(f"-o {override}: there is no {path.strip()} to set{hint}") from None
    return tuple(location)


def format_problems(
    path: Path, text: str, given: dict[str, Location], error: ValidationError
) -> list[str]:
    """Formats the errors of a suite, one line each; counts those beyond the first 50."""
    problems = select_once_per_file(select_problems(error.errors()))
    shown = list(problems.items())[:MAX_PROBLEMS]
    lines = [format_problem(path, text, given, *problem) for problem in shown]
    if more := len(problems) - len(shown):
        lines.append(f"{path}: and {count_of(more, 'more error')}")
    return lines


def select_problems(errors: Sequence[Any]) -> dict[Location, Any]:
    """Returns one error per location.

    A value that may have one of several types has an error per type. A more precise error, at the
    same location, inside it or beside it in a pair, replaces that of a wrong type.
    """
    problems: dict[Location, Any] = {}
    for details in sorted(errors, key=is_wrong_type):
        problems.setdefault(error_location(details), details)
    outer = {place[:length] for place in problems for length in range(len(place))}
    other = {place[:-1] for place, d in problems.items() if d["type"] != "tuple_type"}

    def is_redundant(place: Location, details: Any) -> bool:
        if (around := problems.get(place[:-1])) and is_about_entries(around, details):
            return True
        if details["input"] == []:  # its own errors are those of the empty list
            return False
        in_pair = details["type"] == "tuple_type" and isinstance(place[-1], int)
        return is_wrong_type(details) and (place in outer or (in_pair and place[:-1] in other))

    order = dict.fromkeys(map(error_location, errors))
    kept = {p: problems[p] for p in order if not is_redundant(p, problems[p])}
    return kept or problems


def is_about_entries(around: Any, details: Any) -> bool:
    """Returns whether the error of an empty or repeating list replaces that of its entry."""
    has_repeats = around["type"] == "value_error" and is_wrong_type(details)
    return has_repeats or bool(around["input"] == [])


def select_once_per_file(problems: dict[Location, Any]) -> dict[Location, Any]:
    """Leaves out repeated sentences on local files: many parts may be in one file."""
    places: dict[str, Location] = {}
    for place, details in problems.items():
        places.setdefault(local_file_sentence(details) or str(place), place)
    return {place: problems[place] for place in places.values()}


def local_file_sentence(details: Any) -> str:
    """Returns the sentence of an error of a local file, or an empty text for another error."""
    error = details.get("ctx", {}).get("error")
    cause = error.__context__ if isinstance(error, SuiteValidationError) else error
    return str(cause) if isinstance(cause, LocalFileError) else ""


def is_wrong_type(details: Any) -> bool:
    return details["type"] in WRONG_TYPES


def error_location(details: Any) -> Location:
    """Returns an error's location without pydantic's names of union branches."""
    if isinstance(misfit := details.get("ctx", {}).get("error"), SuiteValidationError):
        place = tuple(part for part in details["loc"] if not is_union_branch(part))
        return (*place, *misfit.location)
    *outer, last = details["loc"] or ("",)
    keys = [part for part in outer if not is_union_branch(part)]
    return tuple(
        keys + [last] * (details["type"] == "extra_forbidden" or not is_union_branch(last))
    )


def format_problem(
    path: Path, text: str, given: dict[str, Location], location: Location, details: Any
) -> str:
    """Formats an error as one line: file and line (or override), key, explanation."""
    override = find_override(given, location, details["type"] == "extra_forbidden")
    if override is None:
        line = find_line(text, location)
        where = f"{path}:{line}" if line else str(path)
    else:
        where = f"-o {shorten(override, MAX_OVERRIDE_CHARACTERS)}"
    inner = given[override][len(location) :] if override is not None else None
    sentence = format_error_sentence(details, location, inner)
    return ": ".join(filter(None, [where, format_key(location), sentence]))


def find_override(
    given: dict[str, Location], location: Location, is_unknown_key: bool
) -> str | None:
    """Returns the override that set a location, or that made the table of an unknown key."""
    for override, at in given.items():
        if at == location[: len(at)] or (is_unknown_key and location == at[: len(location)]):
            return override
    return None


def format_key(location: Location) -> str:
    """Formats a location as `grid[0].plan.lr`, shortened if it is long."""
    key = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in location).lstrip(".")
    return shorten(key)


def is_union_branch(part: int | str) -> bool:
    """Returns whether a part of a location is pydantic's name of a union branch, not a key."""
    return (
        isinstance(part, str)
        and re.search(r"[\[(]|^(constrained-)?(int|float|str|list|tuple|literal)$", part)
        is not None
    )


def format_error_sentence(details: Any, location: Location, inner: Location | None) -> str:
    """Returns the sentence of an error, with the remedy where it is known.

    `inner` is the rest of an override's path below the location, or None for an error in the file.
    """
    kind, value = details["type"], details["input"]
    if kind == "extra_forbidden":
        return f"there is no such key{suggest_key(location, inner)}"
    if kind == "value_error":
        return str(details["ctx"]["error"])
    if value in ([], {}) and kind != "missing":
        return "it is empty: give at least one value (optional keys may be left out)"
    if kind == "missing":
        inside_pair = isinstance(location[-1], int)
        return "a pair needs two numbers" if inside_pair else "this key is required"
    if kind in ("list_type", "model_type", "dict_type"):
        return explain_container(kind, location, value)
    if kind == "tuple_type":
        return f"this is a pair of numbers: write [0.5, 0.999], not {format_wrong_value(value)}"
    if kind == "string_pattern_mismatch" and location == ("name",):
        return explain_name(value)
    message = f"{details['msg'][0].lower()}{details['msg'][1:]}"
    if kind in ("too_long", "too_short"):
        return message
    return f"{message}, not {format_wrong_value(value)}"


def explain_name(name: str) -> str:
    """Returns the rule of a suite's name in words, with a corrected name."""
    corrected = re.sub(r"[^a-z0-9_-]+", "_", name.lower()).strip("_-")
    proposal = f": write {corrected!r}" if corrected else ""
    return (
        f"a name has lowercase letters, digits, _ and -, and begins with a letter or a digit{proposal}, "
        f"not {format_wrong_value(name)}"
    )


def explain_container(kind: str, location: Location, value: Any) -> str:
    """Returns the sentence for another value in place of a table or a list."""
    if location[0] == "budget" and location[-1] in keys_of(BudgetProfile):
        return f"a budget belongs to a profile: write {location[-1]} in [budget.cpu]"
    section = ("budget", "cpu") if location == ("budget",) else location
    keys = ", ".join(keys_at_location(section))
    name = ".".join(part for part in section if isinstance(part, str))
    if name in LISTS_OF_TABLES:
        return f"this is a list of tables: write [[{name}]], in double brackets"
    if kind == "list_type":
        return f"this is a list: write [{format_wrong_value(value)}]"
    known = f" with its keys ({keys}) below" if keys else " with keys below"
    return f"this is a table: write [{name}]{known}, not {format_wrong_value(value)}"


def format_wrong_value(value: Any) -> str:
    """Formats a value, shortened if it is long or deeply nested."""
    return shorten(reprlib.repr(value))


def suggest_key(location: Location, inner: Location | None) -> str:
    """Returns a hint for an unknown key: a similar key, or the key's right place."""
    key, known = str(location[-1]), keys_at_location(location[:-1])
    if difflib.get_close_matches(key, known, n=1, cutoff=SAME_WORD):
        return suggest(key, known)
    rest = ".".join(map(str, inner)) if inner else ""
    return suggest_place(key, inner is not None, rest) or suggest(shorten(key), known)


def suggest_place(key: str, is_override: bool, rest: str = "") -> str:
    """Returns the end of the message for a key that belongs to another section, or nothing."""
    places = [place for place, part in SECTIONS.items() if key in keys_of(part)]
    if is_override:
        paths = [".".join(filter(None, [place, key, rest])) for place in places]
        remedies = [f"-o {path}=..." for path in paths]
    else:
        remedies = [f"{key} {format_header(place)}" for place in places]
    return f"; did you mean {' or '.join(remedies)}?" if remedies else ""


SAME_WORD = 0.8  # the similarity of `loss` and `losses`
SECTIONS: dict[str, type[ConfigModel]] = {  # by the path of an override
    "": Suite,
    "seeds": AdaptiveSeeds,
    "grid.0": GridConfig,
    "grid.0.tricks": TrickAxes,
    "grid.0.plan": HyperparameterAxes,
    "grid.0.numerics": NumericsAxes,
    "numerics": NumericsAxes,
    "budget.cpu": BudgetProfile,
    "limits": LimitsConfig,
    "analysis": AnalysisConfig,
    "gate": GateConfig,
}


def format_header(place: str) -> str:
    """Returns the place of a section in a file: `in [grid.plan]` for `grid.0.plan`."""
    if place == "grid.0":
        return "in [[grid]]"
    return f"in [{place.replace('.0', '')}]" if place else "at the top of the suite"


def keys_of(part: type[ConfigModel]) -> list[str]:
    return [field.alias or name for name, field in part.model_fields.items()]


def keys_at_location(location: Location) -> list[str]:
    """Returns the keys of the table at a location, or an empty list."""
    if location[:1] == ("exclude",):
        return keys_of(ExclusionConfig)
    if location[:1] == ("budget",):
        return keys_of(AdaptiveSeeds if location[2:] == ("seeds",) else BudgetProfile)
    part = SECTIONS.get(".".join("0" if isinstance(p, int) else p for p in location))
    return keys_of(part) if part else []


def find_line(text: str, location: Location) -> int | None:
    """Returns the line of a key, or of the innermost table around it that has a line."""
    lines = find_key_lines(text)
    around = (location[:length] for length in range(len(location), 0, -1))
    return next((lines[place] for place in around if place in lines), None)


@lru_cache(maxsize=1)
def find_key_lines(text: str) -> dict[Location, int]:
    """Returns the first line of each table and key.

    Locations have the form of pydantic's: tables of an array carry their index.
    """
    lines: dict[Location, int] = {}
    counts: dict[str, int] = {}
    table: Location = ()
    for number, line in enumerate(text.split("\n"), 1):
        if header := re.match(r"\s*(\[\[?)\s*([\w.\-\" ]+?)\s*\]", line):
            names = header[2].replace('"', "").split(".")
            if header[1] == "[[":
                counts[names[0]] = counts.get(names[0], -1) + 1
            inside = (counts[names[0]],) if names[0] in counts else ()
            table = (names[0], *inside, *names[1:])
            place = table
        elif key := re.match(r"\s*([\w.\-\"]+)\s*=", line):
            place = (*table, *key[1].replace('"', "").split("."))
        else:
            continue
        for length in range(1, len(place) + 1):  # a header also begins the tables around it
            lines.setdefault(place[:length], number)
    return lines
