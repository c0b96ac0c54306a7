"""Schemas of the JSON files of the store: a file of another shape is reported as damaged."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ganbench.files import DELETE_FILE, CorruptFile, read_json


class Record(BaseModel):
    """The schema of a JSON file of the store. Unknown keys are allowed."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


def read_record(path: Path, schema: type[Record], remedy: str = DELETE_FILE) -> Any:
    """Returns the JSON object in a file, or None if the file is missing.

    Raises CorruptFile if the file is no JSON, or does not fit the schema.
    """
    content = read_json(path, remedy)
    if content is None:
        return None
    try:
        schema.model_validate(content)
    except ValidationError as error:
        raise CorruptFile.at(path, format_misfit(error), remedy) from None
    return content


def format_misfit(error: ValidationError) -> str:
    """Formats the first misfit like `costs.train_seconds: Input should be a valid number`."""
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else first["msg"]
