"""The records of verdicts: the published schema is theirs, and accepts nothing else."""

import json

import pytest
from jsonschema import Draft202012Validator
from verdict_schema import SCHEMA_FILE, read_verdict, schema_errors

from ganbench.analysis.verdicts import CommandVerdict, ComparisonVerdict
from ganbench.ci.verdict_records import GateTestRecord, verdict_json_schema
from ganbench.renamed import VERDICT_WORDS


def test_published_schema_is_generated():
    published = json.loads(SCHEMA_FILE.read_text())
    Draft202012Validator.check_schema(published)
    assert published == verdict_json_schema()


def test_exit_codes():
    codes = {str(verdict): verdict.exit_code for verdict in CommandVerdict}
    assert codes == {"passed": 0, "regressed": 1, "cannot decide": 3, "found": 0, "between": 3}


@pytest.fixture
def answer(ganbench, tmp_path):
    """The verdict of a real check, printed and saved."""
    path = tmp_path / "verdicts" / "check.json"
    code, output, _ = ganbench(
        "check", "smoke", "-o", "data=['digits']", "--json", "--verdict", path
    )
    printed = read_verdict(output)
    assert json.loads(path.read_text()) == printed
    assert (code, printed["code"], printed["verdict"]) == (0, 0, "passed")
    return printed


def test_schema_refuses_other_content(answer):
    assert answer["title"] == "Methods of smoke"
    for other in (
        answer | {"command": "gate"},
        answer | {"verdict": "found"},
        answer | {"sentences": [1]},
        answer | {"html": "<script>"},
        {key: value for key, value in answer.items() if key != "schema"},
    ):
        assert schema_errors(other) != []


def test_words_of_earlier_versions_are_read():
    assert ComparisonVerdict("held") is ComparisonVerdict.NOT_WORSE
    assert ComparisonVerdict("regressed") is ComparisonVerdict.WORSE
    assert {ComparisonVerdict(word) for word in VERDICT_WORDS} <= {*ComparisonVerdict}
    assert not VERDICT_WORDS.keys() & {*ComparisonVerdict}
    with pytest.raises(ValueError, match="wrose"):
        ComparisonVerdict("wrose")


def test_numbers_that_are_not_finite_are_null():
    numbers = dict.fromkeys(("before", "after", "worse", "bound", "margin", "p"), float("nan"))
    texts = dict.fromkeys(("cell", "metric", "name", "change"), "fid")
    scale = {"direction": "lower", "transform": "log"}
    record = GateTestRecord.model_validate(
        {**numbers, **texts, "worse": float("inf"), "counts": (3, 3), "scale": scale}
        | {"verdict": "worse"}
    )
    content = record.to_json()
    assert {content[name] for name in numbers} == {None}
    assert schema_errors(content) != []  # a part is no verdict
