"""Files that commands write for CI: refused before measuring, never stale, never missed."""

import pytest
from typer.testing import CliRunner

from ganbench.cli import app


def run(folder, *words):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return CliRunner().invoke(app, list(words))


@pytest.mark.parametrize("folder", [".", "", "below"])
@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["gate", "mine"], "--verdict"),
        (["gate", "mine"], "--summary"),
        (["gate", "mine"], "--history"),
        (["perf", "--base", "main"], "--verdict"),
        (["perf", "--base", "main"], "--out"),
        (["check", "smoke"], "--verdict"),
        (["bisect", "--good", "main", "--command", "true"], "--state"),
        (["history", "show", "h.jsonl"], "--page"),
        (["samples", "smoke"], "--out"),
    ],
)
def test_folder_is_no_output_file(tmp_path, words, option, folder):
    (tmp_path / "below").mkdir()
    result = run(tmp_path, *words, option, folder)
    assert result.exit_code == 2, result.output
    assert f"Invalid value for '{option}'" in result.stderr
    assert "is a folder: name a file in it" in result.stderr


@pytest.mark.parametrize("words", [["check", "none.toml"], ["check", "smoke", "-o", "oops"]])
def test_failed_command_leaves_no_earlier_verdict(tmp_path, words):
    old = tmp_path / "v.json"
    old.write_text('{"command": "check", "verdict": "passed", "code": 0}')
    assert run(tmp_path, *words, "--verdict", "v.json").exit_code == 2
    assert not old.exists()


@pytest.mark.parametrize("text", ["", "a note", "[1]", '{"verdict": "passed"}'])
def test_failed_command_leaves_other_files(tmp_path, text):
    (tmp_path / "mine.txt").write_text(text)
    assert run(tmp_path, "check", "none.toml", "--verdict", "mine.txt").exit_code == 2
    assert (tmp_path / "mine.txt").read_text() == text
