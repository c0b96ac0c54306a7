"""The base of all tables of suites and claims, and its lists of limited length."""

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from .suite_limits import MAX_LIST_LENGTH

T = TypeVar("T")
Several = Annotated[list[T], Field(min_length=1, max_length=MAX_LIST_LENGTH)]
AtMost = Annotated[list[T], Field(max_length=MAX_LIST_LENGTH)]


class ConfigModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
