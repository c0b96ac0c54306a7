"""The published schema of verdicts, checked by the library jsonschema."""

import json
from pathlib import Path

from jsonschema import Draft202012Validator

SCHEMA_FILE = Path(__file__).parents[1] / "docs" / "ci" / "verdict.schema.json"


def schema_errors(content):
    """Returns the violations of the schema by a verdict, as sentences."""
    schema = json.loads(SCHEMA_FILE.read_text())
    return [error.message for error in Draft202012Validator(schema).iter_errors(content)]


def read_verdict(text):
    """Returns a verdict of a program; raises if the published schema does not allow it."""
    content = json.loads(text)
    assert schema_errors(content) == []
    return content
