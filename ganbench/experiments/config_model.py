"""The base of all tables of suites and claims, with their limited lists and numbers."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, WrapValidator

from ganbench.registry import shorten

from .suite_limits import MAX_LIST_LENGTH

T = TypeVar("T")


def refuse_repeats(given: Any, check: Callable[[Any], list[Any]]) -> list[Any]:
    """Returns the checked entries of a list; raises ValueError if two of them are the same.

    Entries are compared as checked, where each part has its canonical name.
    """
    entries = check(given)
    first: dict[str, Any] = {}
    for text, entry in zip(given, entries, strict=True):
        # chains of tricks in another order are the same
        key = repr(sorted(entry) if isinstance(entry, list) else entry)
        if key in first:
            raise ValueError(explain_repeat(first[key], text))
        first[key] = text
    return entries


def explain_repeat(one: Any, other: Any) -> str:
    if one == other:
        return f"{shorten(str(one))} stands there twice: leave it out once"
    return f"{shorten(str(one))} and {shorten(str(other))} are the same: leave one of them out"


Several = Annotated[list[T], Field(min_length=1, max_length=MAX_LIST_LENGTH)]
AtMost = Annotated[list[T], Field(max_length=MAX_LIST_LENGTH)]
SeveralDistinct = Annotated[Several[T], WrapValidator(refuse_repeats)]
AtMostDistinct = Annotated[AtMost[T], WrapValidator(refuse_repeats)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class ConfigModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
