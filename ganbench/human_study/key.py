"""The key of a study: the truth of each item.

It stays with the author of the study; the page does not contain it.
"""

import secrets
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ganbench.errors import GanbenchError
from ganbench.files import CorruptFile, read_json

Truth = Literal["real", "fake"]


class StudyArm(BaseModel):
    """A cell with fakes in the study."""

    model_config = ConfigDict(extra="forbid")

    data: str
    variant: str
    loss: str
    tricks: str
    plan: str


class StudyItem(BaseModel):
    """A picture and its truth; items without an arm are catch trials."""

    model_config = ConfigDict(extra="forbid")

    truth: Truth
    arm: int | None = None
    source: str = ""  # its trial, or its split of the data
    index: int = 0  # its index among the fakes or the examples


class Key(BaseModel):
    model_config = ConfigDict(extra="forbid")

    study: str
    suite: str
    data: str
    exposure: int  # milliseconds; 0: until the answer
    seed: int
    salt: str = ""  # for the names of items; older studies have none
    arms: list[StudyArm]
    items: dict[str, StudyItem]
    groups: list[list[str]]  # one list per arm and truth, in the order of the page
    catches: list[str]


class InvalidStudy(GanbenchError, ValueError):
    """An invalid study or answer file, with the reason."""


def new_salt() -> str:
    """Returns 128 random bits in hexadecimal, deliberately independent of any seed."""
    return secrets.token_hex(16)


def read_key(folder: Path) -> Key:
    """Reads the key of the study in a suite's folder.

    Raises InvalidStudy if the key is missing or invalid.
    """
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
        raise InvalidStudy(
            f"{path} is not a valid key of a study: {first_problem(error)}"
        ) from None


def first_problem(error: ValidationError) -> str:
    """Formats the first validation error with its location."""
    details = error.errors()[0]
    place = ".".join(map(str, details["loc"]))
    message = details["msg"][0].lower() + details["msg"][1:]
    return f"{place}: {message}" if place else message
