"""Files that commands write for CI: refused before measuring, never stale, never missed."""

import os
from functools import partial
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ganbench.ci.history.records import append_lines
from ganbench.cli import app
from ganbench.cli.base import FAILED
from ganbench.cli.verdict_output import append_text, end_with_files


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
        (["claim"], "--to"),
        (["export", "smoke"], "--to"),
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


@pytest.mark.parametrize(("code", "end"), [(0, FAILED), (1, 1), (3, 3)])
def test_unwritten_file_ends_a_pass_with_4(tmp_path, capsys, code, end):
    full = partial(append_text, Path("/dev/full"), "a verdict")
    with pytest.raises(typer.Exit) as ended:
        end_with_files(code, full, partial(append_text, tmp_path / "next", "a verdict"))
    assert ended.value.exit_code == end
    assert "/dev/full: the disk is full" in capsys.readouterr().err
    assert (tmp_path / "next").read_text() == "a verdict"


def test_full_disk_of_a_history_is_named(monkeypatch):
    monkeypatch.setattr("ganbench.files.has_torn_end", lambda path: False)
    with pytest.raises(OSError, match="/dev/full"):
        append_lines(Path("/dev/full"), [{"schema": 1}])


@pytest.mark.parametrize(
    "words",
    [
        ["gate", "mine", "--verdict"],
        ["check", "smoke", "--verdict"],
        ["perf", "--base", "main", "--out"],
        ["history", "show", "h.jsonl", "--page"],
        ["history", "show", "h.jsonl", "--out"],
        ["samples", "smoke", "--out"],
        ["interpolate", "smoke", "--out"],
        ["neighbours", "smoke", "--out"],
        ["study", "make", "smoke", "--out"],
        ["claim", "--to"],
        ["export", "smoke", "--to"],
    ],
)
def test_output_replaces_no_device(tmp_path, words):
    os.mkfifo(tmp_path / "pipe")
    result = run(tmp_path, *words, "pipe")
    assert result.exit_code == 2, result.output
    assert "pipe is no plain file" in result.stderr


def test_appended_output_may_be_a_device(tmp_path):
    result = run(tmp_path, "gate", "mine", "--summary", "/dev/null", "--history", "/dev/null")
    assert "no plain file" not in result.stderr
