"""A study's key: which item is what. It stays with who made the study; the page does not hold it."""

import secrets
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ganbench.errors import GanbenchError
from ganbench.files import CorruptFile, read_json

Truth = Literal["real", "fake"]


class StudyArm(BaseModel):
    """A cell whose fakes are judged."""

    model_config = ConfigDict(extra="forbid")

    data: str
    variant: str
    loss: str
    tricks: str
    plan: str


class StudyItem(BaseModel):
    """A picture, and what it is; those of no arm are catch trials."""

    model_config = ConfigDict(extra="forbid")

    truth: Truth
    arm: int | None = None
    source: str = ""  # the trial that made it, or the split that it is from
    index: int = 0  # which of the fakes, or of the examples


class Key(BaseModel):
    model_config = ConfigDict(extra="forbid")

    study: str
    suite: str
    data: str
    exposure: int  # milliseconds; 0: until the answer
    seed: int
    salt: str = ""  # of the items' names; studies of old have none
    arms: list[StudyArm]
    items: dict[str, StudyItem]
    groups: list[list[str]]  # a list an arm and truth, in the page's order
    catches: list[str]


class InvalidStudy(GanbenchError, ValueError):
    """What is wrong with a study, or with answers, in a sentence."""


def new_salt() -> str:
    """128 bits that nobody can guess, in hexadecimal: the one draw that no seed may repeat."""
    return secrets.token_hex(16)


def read_key(folder: Path) -> Key:
    """The key of the study of a suite's folder; raises InvalidStudy."""
    path = folder / "study" / "key.json"
    try:
        content = read_json(path)
    except CorruptFile as error:
        raise InvalidStudy(str(error)) from None
    if content is None:
        raise InvalidStudy(f"{path} does not exist: `ganbench study make` writes it with the page")
    try:
        return Key.model_validate(content)
    except ValidationError as error:
        raise InvalidStudy(f"{path} is not a study's key: {first_problem(error)}") from None


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong, and where."""
    details = error.errors()[0]
    place = ".".join(map(str, details["loc"]))
    message = details["msg"][0].lower() + details["msg"][1:]
    return f"{place}: {message}" if place else message
