"""The store: whole files or none, and one holder a trial."""

import errno
import os
import subprocess
import sys

import pytest

from ganbench.experiments.store import Attempt, Busy, Store
from ganbench.files import CorruptFile, read_json, read_json_lines, write_bytes, write_json

HOLDER = """
import sys
from pathlib import Path
from ganbench.experiments.store import Store
with Store(Path(sys.argv[1])).trial_folder("abcdef").lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def folder(tmp_path):
    return Store(tmp_path).trial_folder("abcdef" + "0" * 58)


@pytest.fixture
def attempt(folder) -> Attempt:
    return folder.new_attempt()


# Files


def test_a_file_is_written_whole_with_the_folders_above_it(tmp_path):
    path = tmp_path / "a" / "b" / "file"
    write_bytes(path, b"first")
    write_bytes(path, b"second")
    assert path.read_bytes() == b"second"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, fails):
    path = tmp_path / "file"
    write_bytes(path, b"old")
    monkeypatch.setattr(os, fails, full)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_nothing_where_nothing_was(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(tmp_path / "file", b"new")
    assert list(tmp_path.iterdir()) == []


def test_the_content_is_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    seen = []
    fsync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (seen.append("content"), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *paths: (seen.append("name"), rename(*paths)))
    write_bytes(tmp_path / "file", b"new")
    assert seen == ["content", "name"]


def test_json_comes_back_as_it_was(tmp_path):
    content = {"a": [1, 2.5, None, True], "ü": {"b": "c"}}
    write_json(tmp_path / "file", content)
    assert read_json(tmp_path / "file") == content


def test_equal_content_is_the_same_file(tmp_path):
    write_json(tmp_path / "one", {"a": 1, "b": 2})
    write_json(tmp_path / "two", {"b": 2, "a": 1})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_cannot_say_is_not_written(tmp_path, value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "file", {"value": value})
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there_is_none_and_has_no_lines(tmp_path):
    assert read_json(tmp_path / "file") is None
    assert read_json_lines(tmp_path / "file") == []


@pytest.mark.parametrize(
    "content",
    [b"", b'{"a": ', b"\xff\xfe", b"\0" * 40, b"[" * 100_000],
    ids=["empty", "torn", "no text", "zeros", "deep"],
)
def test_a_damaged_file_is_told_by_its_path(tmp_path, content):
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(CorruptFile) as told:
        read_json(path)
    assert str(path) in str(told.value)
    assert "delete it" in str(told.value)


@pytest.mark.parametrize("torn", [b"", b'{"a": 3', b'{"a": 3}', b"\xff", b"\0\0\0"])
def test_a_torn_last_line_is_left_out(tmp_path, torn):
    path = tmp_path / "file.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": 2}\n' + torn)
    assert read_json_lines(path) == [{"a": 1}, {"a": 2}]


def test_a_line_that_an_earlier_crash_tore_hides_no_later_one(tmp_path):
    path = tmp_path / "file.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a"\n{"a": 3}\n')
    assert read_json_lines(path) == [{"a": 1}, {"a": 3}]


# Attempts


def test_an_attempts_first_word_on_its_end_stands(attempt):
    assert attempt.read_end() is None
    attempt.record_end("failed", "timeout")
    attempt.record_end("done")
    assert attempt.read_end() == {"outcome": "failed", "reason": "timeout"}


def test_what_an_attempt_tells_is_read_in_its_order_with_the_time(attempt):
    attempt.append_event(step=1)
    attempt.append_event(step=2, fid=None)
    first, second = read_json_lines(attempt.events_path)
    assert (first["step"], second["step"], second["fid"]) == (1, 2, None)
    assert first["time"] <= second["time"]


def test_attempts_are_numbered_and_each_is_a_folder_of_its_own(folder):
    made = [folder.new_attempt() for _ in range(3)]
    assert [attempt.folder.name for attempt in made] == ["001", "002", "003"]
    assert folder.attempts() == made


# Trials


def test_a_trial_lies_under_the_first_digits_of_its_identity(tmp_path):
    assert Store(tmp_path).trial_folder("ab" + "c" * 62).folder == tmp_path / "trials/ab" / (
        "ab" + "c" * 14
    )
    assert Store(tmp_path).trial_folder("ab" + "c" * 14) == Store(tmp_path).trial_folder(
        "ab" + "c" * 62
    )


def test_forgetting_a_trial_leaves_its_attempts(folder):
    attempt = folder.new_attempt()
    attempt.record_end("done")
    made = [folder.result_path, folder.checkpoint_path, folder.curve_path, folder.samples_path]
    made += [folder.generator_path("last"), folder.scores_path("p", "best")]
    for path in made:
        write_bytes(path, b"x")
    folder.delete_results()
    assert [path for path in made if path.exists()] == []
    assert folder.attempts() == [attempt]
    assert attempt.read_end() is not None


# Locks


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the trial."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def held(tmp_path):
    return Store(tmp_path).trial_folder("abcdef")


def test_a_second_holder_is_told_that_the_trial_is_busy(holder, held):
    with pytest.raises(Busy, match="abcdef"), held.lock():
        pytest.fail("two hold one trial")


def test_what_another_run_is_training_is_not_forgotten(holder, held):
    write_bytes(held.result_path, b"{}")
    with pytest.raises(Busy):
        held.delete_results()
    assert held.result_path.exists()


def test_a_holder_that_is_killed_lets_go(holder, held):
    holder.kill()
    holder.wait()
    write_bytes(held.result_path, b"{}")
    held.delete_results()
    assert not held.result_path.exists()


def test_a_holder_that_is_done_lets_go(holder, held):
    holder.communicate("")
    assert holder.returncode == 0
    write_bytes(held.result_path, b"{}")
    held.delete_results()
    assert not held.result_path.exists()


def test_an_error_inside_lets_go(held):
    with pytest.raises(ZeroDivisionError), held.lock():
        raise ZeroDivisionError
    with held.lock(), pytest.raises(Busy), held.lock():
        pytest.fail("one process holds one trial twice")
