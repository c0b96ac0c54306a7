"""Comparison of two canaries, up to rounding or in every digit. Imports no torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ganbench.analysis.verdicts import ComparisonVerdict

# Effect of the summation order after the steps of a canary. Small values are compared absolutely, as
# scores cross 0.
TRACE_ROUNDING, ABSOLUTE_TRACE_ROUNDING = 1e-4, 1e-7

Numbers = Mapping[str, float | None]  # by place; None for one that is not finite


@dataclass(frozen=True)
class TraceComparison:
    """The comparison of one cell's canary with the baseline's."""

    cell: str
    verdict: ComparisonVerdict  # equivalent: up to rounding
    detail: str = ""


def compare_trace(cell: str, before: Numbers, after: Numbers) -> TraceComparison:
    """Compares two canaries; reports the first value that differs by more than rounding."""
    if before == after:
        return TraceComparison(cell, ComparisonVerdict.IDENTICAL)
    place = first_difference(before, after)
    if place is None:
        sentence = f"no relative difference exceeds {TRACE_ROUNDING:.0e}"
        return TraceComparison(cell, ComparisonVerdict.EQUIVALENT, sentence)
    was, now = (format_trace_value(values.get(place)) for values in (before, after))
    return TraceComparison(cell, ComparisonVerdict.DIFFERENT, f"{place} was {was} and is {now}")


def first_difference(one: Numbers, other: Numbers, any_digit: bool = False) -> str | None:
    """Returns the place of the first number that differs, or None."""
    for place in {**one, **other}:
        before, after = one.get(place), other.get(place)
        if before != after and (any_digit or not is_close(before, after)):
            return place
    return None


def is_close(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=TRACE_ROUNDING, abs_tol=ABSOLUTE_TRACE_ROUNDING)


def format_trace_value(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"
