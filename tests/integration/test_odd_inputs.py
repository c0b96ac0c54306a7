"""Odd and broken inputs give the published results: a value or an error message."""

import re

import pytest
from odd_inputs import HEAD, INPUTS, PAGE, run_input

LIBRARY_MESSAGE = re.compile(r"(is damaged|is not a valid [.\w ]+|that this PyTorch can open): .*")
PUBLISHED = dict(
    re.match(r"\| (.*?) (\| \d .*)", line).groups()
    for line in PAGE.read_text().removeprefix(HEAD).splitlines()
)


def without_library_message(row: str) -> str:
    """Removes the messages of libraries about damaged files, which change with their versions."""
    return LIBRARY_MESSAGE.sub(r"\1", row)


def test_published_table_has_every_input():
    assert PAGE.read_text().startswith(HEAD)
    assert list(PUBLISHED) == list(INPUTS)
    guide = (PAGE.parents[3] / "docs" / "eval.md").read_text()
    assert f"{len(INPUTS)} odd and broken inputs" in guide


@pytest.mark.parametrize("name", INPUTS)
def test_input_gives_the_published_result(name, tmp_path, monkeypatch):
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "inputs"
    folder.mkdir()
    for parent in (tmp_path, *tmp_path.parents):
        if "pytest-of-" in str(parent):  # inputs are read as another user, which needs access
            parent.chmod(0o755)
    result = run_input(name, folder)
    assert not result.has_traceback
    assert result.exit_code in (0, 2)
    assert without_library_message(result.format_row()) == without_library_message(
        f"| {name} {PUBLISHED[name]}"
    )
