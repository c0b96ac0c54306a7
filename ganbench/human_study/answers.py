"""Answer files of raters. The files are untrusted, so everything in them is validated."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .item_order import fnv1a, item_order
from .key import InvalidStudy, Key, Truth, first_problem

MAX_ANSWER_FILE_BYTES = 5_000_000
HOUR_MILLISECONDS = 3_600_000  # longer times count as an hour, as on the page


class RaterAnswer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    item: str
    answer: Truth
    ms: Annotated[int, Field(ge=1)]  # from the picture to the answer
    shown: Annotated[int, Field(ge=1)]  # how long the picture was visible


class AnswerFile(BaseModel):
    """The content of the file that the study page saves."""

    model_config = ConfigDict(extra="forbid", strict=True)

    schema_: Annotated[Literal[1], Field(alias="schema")]
    study: str
    suite: str
    rater: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,40}$")]
    began: Annotated[str, Field(max_length=40)]
    answers: list[RaterAnswer]
    check: str


@dataclass(frozen=True)
class RaterSession:
    """The answers of one rater: each item of the study once, in the order shown."""

    rater: str
    path: Path
    answers: list[RaterAnswer]


def read_answers(paths: Sequence[Path], key: Key) -> list[RaterSession]:
    """Reads and validates the answer files of all raters.

    Raises InvalidStudy for the first problem: answers are never counted from an invalid file.
    """
    sessions: dict[str, RaterSession] = {}
    for path in paths:
        session = read_session(path, key)
        name = session.rater.lower()  # Ann and ann are probably one rater
        if name in sessions:
            refuse_answers(
                path, f"rater {session.rater} has answered already, in {sessions[name].path}"
            )
        sessions[name] = session
    return list(sessions.values())


def read_session(path: Path, key: Key) -> RaterSession:
    content = parse_answer_file(path)
    if content.study != key.study:
        refuse_answers(path, f"it answers study {content.study!r:.40} of suite {content.suite!r:.40}, "
                     f"and this is {key.study} of {key.suite}")  # fmt: skip
    refuse_other_items(path, content, key)
    if content.check != answer_checksum(content):
        refuse_answers(path, "it was changed after it was saved: the checksum does not match")
    return RaterSession(content.rater, path, [limit_times(answer) for answer in content.answers])


def refuse_other_items(path: Path, content: AnswerFile, key: Key) -> None:
    wanted = item_order(key.study, key.groups, key.catches, content.rater)
    items = [answer.item for answer in content.answers]
    if len(items) < len(wanted) and items == wanted[: len(items)]:
        refuse_answers(path, f"it ends after {len(items)} of {len(wanted)} answers")
    if items != wanted:
        refuse_answers(
            path, f"its items are not those that rater {content.rater} was shown, in the same order"
        )


def parse_answer_file(path: Path) -> AnswerFile:
    try:
        content = path.read_bytes()
    except OSError as error:
        refuse_answers(path, f"it cannot be read: {error.strerror}")
    if len(content) > MAX_ANSWER_FILE_BYTES:
        refuse_answers(
            path, f"it has more than {MAX_ANSWER_FILE_BYTES:,} bytes, too many for an answer file"
        )
    try:
        return AnswerFile.model_validate(json.loads(content))
    except ValidationError as error:
        refuse_answers(path, f"it is not a valid answer file: {first_problem(error)}")
    except (ValueError, RecursionError):
        refuse_answers(path, "it is not a complete JSON file: perhaps it was truncated")


def answer_checksum(content: AnswerFile) -> str:
    """Computes a checksum that detects mistakes and casual edits, but not forgery."""
    lines = [f"{a.item} {a.answer} {a.ms} {a.shown}" for a in content.answers]
    return f"{fnv1a(chr(10).join([content.study, content.rater, *lines])):08x}"


def limit_times(answer: RaterAnswer) -> RaterAnswer:
    """Returns the answer with times of at most an hour; older pages saved longer ones."""
    times = {name: min(getattr(answer, name), HOUR_MILLISECONDS) for name in ("ms", "shown")}
    return answer.model_copy(update=times)


def refuse_answers(path: Path, why: str) -> NoReturn:
    raise InvalidStudy(f"{path}: {why}")
