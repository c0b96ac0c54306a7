"""Answers: the files that raters give back. They are anybody's, so nothing in them is taken on trust."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .item_order import fnv1a, order
from .key import Key, Said, Unread, first

LARGEST = 5_000_000  # bytes
HOUR = 3_600_000  # milliseconds


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    item: str
    answer: Said
    ms: Annotated[int, Field(ge=1, le=HOUR)]  # from the picture's onset to the answer
    shown: Annotated[int, Field(ge=1, le=HOUR)]  # how long the picture was really seen


class File(BaseModel):
    """What the page saves."""

    model_config = ConfigDict(extra="forbid", strict=True)

    schema_: Annotated[Literal[1], Field(alias="schema")]
    study: str
    suite: str
    rater: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,40}$")]
    began: Annotated[str, Field(max_length=40)]
    answers: list[Answer]
    check: str


@dataclass(frozen=True)
class Session:
    """The answers of one rater, every item of the study once, in the order they were seen."""

    rater: str
    path: Path
    answers: list[Answer]


def read_answers(paths: Sequence[Path], key: Key) -> list[Session]:
    """Raises Unread with the first thing that is wrong: nothing is counted of files half understood."""
    found: dict[str, Session] = {}
    for path in paths:
        session = read_session(path, key)
        name = session.rater.lower()  # Ann and ann are hardly two
        if name in found:
            refuse(path, f"rater {session.rater} has answered already, in {found[name].path}")
        found[name] = session
    return list(found.values())


def read_session(path: Path, key: Key) -> Session:
    told = parsed(path)
    if told.study != key.study:
        refuse(path, f"it answers study {told.study!r:.40} of suite {told.suite!r:.40}, "
                     f"and this is {key.study} of {key.suite}")  # fmt: skip
    wanted = order(key.study, key.groups, key.catches, told.rater)
    seen = [answer.item for answer in told.answers]
    if len(seen) < len(wanted) and seen == wanted[: len(seen)]:
        refuse(path, f"it ends after {len(seen)} of {len(wanted)} answers")
    if seen != wanted:
        refuse(path, f"its items are not those that rater {told.rater} was shown, in that order")
    if told.check != checksum(told):
        refuse(path, "it was changed after it was saved: its checksum is of other answers")
    return Session(told.rater, path, told.answers)


def parsed(path: Path) -> File:
    try:
        content = path.read_bytes()
    except OSError as error:
        refuse(path, f"it cannot be read: {error.strerror}")
    if len(content) > LARGEST:
        refuse(path, f"it has more than {LARGEST:,} bytes, which no answers have")
    try:
        return File.model_validate(json.loads(content))
    except ValidationError as error:
        refuse(path, f"it holds no answers to a study: {first(error)}")
    except (ValueError, RecursionError):
        refuse(path, "it is no whole JSON file: cut short, perhaps, on its way")


def checksum(told: File) -> str:
    """Of a slip or an idle hand it tells; who forges answers can forge this as well."""
    lines = [f"{a.item} {a.answer} {a.ms} {a.shown}" for a in told.answers]
    return f"{fnv1a(chr(10).join([told.study, told.rater, *lines])):08x}"


def refuse(path: Path, why: str) -> NoReturn:
    raise Unread(f"{path}: {why}")
