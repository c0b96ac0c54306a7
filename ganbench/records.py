"""Schemas of the JSON files of the store: a file of another shape is reported as damaged.

A file has the number of its schema under `schema`; a file without one is of schema 1. Older files are
read, and a file of a newer ganbench is refused.
"""

from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ganbench.errors import GanbenchError
from ganbench.files import DELETE_FILE, CorruptFile, read_json


class NewerSchema(GanbenchError, RuntimeError):
    """A file of the store was written by a newer ganbench."""


class Record(BaseModel):
    """The schema of a JSON file of the store. Unknown keys are allowed."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)
    newest_schema: ClassVar[int] = 1  # that this program reads

    @classmethod
    def schema_of(cls, content: dict[str, Any]) -> Any:
        """Returns the number of a file's schema, as far as it has one."""
        return content.get("schema", 1)


def read_record(path: Path, schema: type[Record], remedy: str = DELETE_FILE) -> Any:
    """Returns the JSON object in a file, or None if the file is missing.

    Raises NewerSchema if a newer program wrote it. Raises CorruptFile if the file is no JSON, or does
    not fit the schema.
    """
    content = read_json(path, remedy)
    if content is None:
        return None
    refuse_newer_schema(path, content, schema, remedy)
    try:
        schema.model_validate(content)
    except ValidationError as error:
        raise CorruptFile.at(path, format_misfits(error)[0], remedy) from None
    return content


def refuse_newer_schema(
    path: Path, content: dict[str, Any], schema: type[Record], remedy: str
) -> None:
    """Raises NewerSchema for a newer file, and CorruptFile if its schema is no number."""
    number = schema.schema_of(content)
    if not isinstance(number, int) or isinstance(number, bool):
        raise CorruptFile.at(path, "schema: it is no whole number", remedy)
    require_known_schema(path, number, schema.newest_schema)


def require_known_schema(path: Path, number: int, newest: int) -> None:
    """Raises NewerSchema for a number above the newest schema that this program reads."""
    if number > newest:
        raise NewerSchema(
            f"{path} has schema {number}, and this ganbench reads schemas up to {newest}: upgrade ganbench"
        )


def format_misfits(error: ValidationError, most: int = 1) -> list[str]:
    """Formats the first misfits like `costs.train_seconds: Input should be a valid number`."""
    texts = []
    for each in error.errors(include_url=False)[:most]:
        text = "is missing" if each["type"] == "missing" else each["msg"]
        text = text.removeprefix("Value error, ")  # pydantic puts it before our own sentences
        texts.append(": ".join(filter(None, [".".join(map(str, each["loc"])), text])))
    return texts
