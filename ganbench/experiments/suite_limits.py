"""Limits of a suite: settings of parts, durations, numbers of cells and trials.

A number beyond a limit is a slip or an attack. Without the limits it would end in a full memory, or in a
run that never ends.
"""

from collections.abc import Iterable
from math import prod
from typing import Any

from ganbench.registry import Registry, SpecError, Value

MAX_SUITE_BYTES = 1_000_000
MAX_LIST_LENGTH = 1000  # values of an axis of a grid
MAX_CELLS = 10_000
MAX_TRIALS = 100_000  # cells times seeds

MAX_IMAGES = 10**12
MAX_GENERATOR_TURNS = 10**10
MAX_SECONDS = 365 * 24 * 3600
MIN_LIMIT_SECONDS = 1.0  # a training reports its progress less often

MAX_MAGNITUDE = 10**9  # of weights, rates and other real settings
MAX_WHOLE_SETTING = 1_000_000
MAX_SETTINGS = {  # whole settings with limits of their own, by name
    **dict.fromkeys(("blocks", "depth", "iterations", "keep", "turns"), 1000),
    **dict.fromkeys(("fakes", "reals"), 100_000_000),
    "seed": 2**32 - 1,
}


def check_settings(registry: Registry, text: str) -> None:
    """Raises SpecError if a setting of a spec is beyond its limit."""
    spec = registry.resolve(text)
    for name, value in spec.settings:
        limit = setting_limit(name, value)
        if limit is not None and abs(value) > limit:  # type: ignore[arg-type]
            raise SpecError(
                f"{registry.kind} {spec.name}: {name} must be at most {limit:,}, not {value:,}"
            )


def setting_limit(name: str, value: Value) -> int | None:
    """Returns the largest magnitude of a setting, or None for texts and flags."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return MAX_MAGNITUDE if isinstance(value, float) else MAX_SETTINGS.get(name, MAX_WHOLE_SETTING)


def check_limit_seconds(text: str, seconds: float) -> None:
    """Raises ValueError if a time limit is below 1 s or above a year."""
    if not MIN_LIMIT_SECONDS <= seconds <= MAX_SECONDS:
        raise ValueError(f"{text!r} must be at least 1 s and at most {MAX_SECONDS // 3600:,} h")


def count_combinations(axes: Iterable[Any]) -> int:
    """Returns the number of combinations of axes, each a value or a list of values."""
    return prod(len(axis) if isinstance(axis, list) else 1 for axis in axes)


def check_cell_count(count: int, sentence: str) -> None:
    """Raises ValueError if there are too many cells.

    The sentence names their source, with {} in place of the count.
    """
    if count > MAX_CELLS:
        raise ValueError(
            f"{sentence.format(format_count(count))}, and a suite may have {MAX_CELLS:,} cells: "
            "shorten its lists, or write several suites"
        )


def format_count(count: int) -> str:
    """Formats a count in full, or as a power of ten if it is very large."""
    return f"{count:,}" if count < 10**15 else f"about 10^{len(str(count)) - 1}"
