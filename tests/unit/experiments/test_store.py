"""The store: atomic files, attempts, and one lock per trial."""

import errno
import json
import os
import platform
import signal
import subprocess
import sys

import pytest
from helpers import held_by_another_process

from ganbench.experiments.lease import Busy
from ganbench.experiments.store import Attempt, Store, write_plan
from ganbench.files import (
    CorruptFile,
    append_json_line,
    read_json,
    read_json_lines,
    write_bytes,
    write_json,
)

KILLED_WRITE = """
import os, signal, sys
from pathlib import Path
from ganbench.files import write_bytes
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
write_bytes(Path(sys.argv[1]), b"content")
"""


@pytest.fixture
def dead_process():
    """The id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def raise_disk_full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def folder(tmp_path):
    return Store(tmp_path).trial_folder("abcdef" + "0" * 58)


@pytest.fixture
def attempt(folder) -> Attempt:
    return folder.new_attempt()


# Files


def test_write_replaces_file_and_makes_folders(tmp_path):
    path = tmp_path / "a" / "b" / "file"
    write_bytes(path, b"first")
    write_bytes(path, b"second")
    assert path.read_bytes() == b"second"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_failed_write_keeps_the_old_file(tmp_path, monkeypatch, fails):
    path = tmp_path / "file"
    write_bytes(path, b"old")
    monkeypatch.setattr(os, fails, raise_disk_full)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_failed_write_leaves_no_new_file(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", raise_disk_full)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(tmp_path / "file", b"new")
    assert list(tmp_path.iterdir()) == []


def test_full_disk_error_names_the_file(tmp_path, limit_file_size):
    limit_file_size(1000)
    for path in (tmp_path / "new", tmp_path / "old"):
        with pytest.raises(OSError, match=f"File too large: '{path}'"):
            write_bytes(path, b"x" * 2000)
    with pytest.raises(OSError, match=f"File too large: '{tmp_path / 'lines'}'"):
        append_json_line(tmp_path / "lines", text="x" * 2000)


def test_incomplete_line_costs_no_other_record(tmp_path):
    """As after a full disk or a kill."""
    path = tmp_path / "lines"
    append_json_line(path, number=1)
    path.write_bytes(path.read_bytes() + b'{"time": 2, "num')
    append_json_line(path, number=3)
    append_json_line(path, number=4)
    assert [record["number"] for record in read_json_lines(path)] == [1, 3, 4]


def test_temporary_files_of_dead_processes_are_swept(folder, dead_process):
    write_bytes(folder.generator_path("last"), b"kept")
    owner = f"{dead_process}@{platform.node()}"
    left = [folder.folder / f".checkpoint.pt.{owner}", folder.folder / f"samplers/.last.{owner}"]
    kept = [folder.generator_path("last"), folder.folder / f".x.{os.getpid()}@{platform.node()}"]
    kept += [folder.folder / f".x.{dead_process}@elsewhere", folder.folder / ".lock"]
    for path in [*left, *kept[1:]]:
        path.write_bytes(b"x")
    folder.sweep()
    assert [path for path in left if path.exists()] == []
    assert [path.exists() for path in kept] == [True] * 4


def test_checkpoint_of_a_finished_trial_is_swept(folder):
    """A process may die between its result and the end of its checkpoint."""
    write_bytes(folder.checkpoint_path, b"x")
    folder.sweep()
    assert folder.checkpoint_path.exists()
    write_json(folder.result_path, {})
    folder.sweep()
    assert not folder.checkpoint_path.exists()
    assert folder.result_path.exists()


def test_killed_write_leaves_a_swept_file(tmp_path):
    folder = Store(tmp_path).trial_folder("abcdef")
    writer = subprocess.Popen([sys.executable, "-c", KILLED_WRITE, str(folder.result_path)])
    assert writer.wait() == -signal.SIGKILL
    assert len(list(folder.folder.iterdir())) == 1
    Store(tmp_path).sweep(tmp_path / "suite", ["abcdef"])
    assert list(folder.folder.iterdir()) == []


def test_content_is_flushed_before_rename(tmp_path, monkeypatch):
    calls = []
    fsync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (calls.append("content"), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *paths: (calls.append("name"), rename(*paths)))
    write_bytes(tmp_path / "file", b"new")
    assert calls == ["content", "name"]


def test_json_round_trip_is_exact(tmp_path):
    content = {"a": [1, 2.5, None, True], "ü": {"b": "c"}}
    write_json(tmp_path / "file", content)
    assert read_json(tmp_path / "file") == content


def test_equal_content_gives_equal_bytes(tmp_path):
    write_json(tmp_path / "one", {"a": 1, "b": 2})
    write_json(tmp_path / "two", {"b": 2, "a": 1})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_numbers_are_not_written(tmp_path, value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "file", {"value": value})
    assert list(tmp_path.iterdir()) == []


def test_missing_file_reads_as_empty(tmp_path):
    assert read_json(tmp_path / "file") is None
    assert read_json_lines(tmp_path / "file") == []


@pytest.mark.parametrize(
    "content",
    [b"", b'{"a": ', b"\xff\xfe", b"\0" * 40, b"[" * 100_000],
    ids=["empty", "torn", "no text", "zeros", "deep"],
)
def test_damaged_file_error_names_its_path(tmp_path, content):
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(CorruptFile) as error:
        read_json(path)
    assert str(path) in str(error.value)
    assert "delete it" in str(error.value)


@pytest.mark.parametrize("torn", [b"", b'{"a": 3', b'{"a": 3}', b"\xff", b"\0\0\0"])
def test_torn_last_line_is_skipped(tmp_path, torn):
    path = tmp_path / "file.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": 2}\n' + torn)
    assert read_json_lines(path) == [{"a": 1}, {"a": 2}]


def test_torn_line_hides_no_later_line(tmp_path):
    path = tmp_path / "file.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a"\n{"a": 3}\n')
    assert read_json_lines(path) == [{"a": 1}, {"a": 3}]


# Attempts


def test_first_recorded_end_is_kept(attempt):
    assert attempt.read_end() is None
    attempt.record_end("failed", "timeout")
    attempt.record_end("done")
    assert attempt.read_end() == {"outcome": "failed", "reason": "timeout"}


def test_events_are_ordered_and_timed(attempt):
    attempt.append_event(step=1)
    attempt.append_event(step=2, fid=None)
    first, second = read_json_lines(attempt.events_path)
    assert (first["step"], second["step"], second["fid"]) == (1, 2, None)
    assert first["time"] <= second["time"]


def test_attempts_have_numbered_folders(folder):
    attempts = [folder.new_attempt() for _ in range(3)]
    assert [attempt.folder.name for attempt in attempts] == ["001", "002", "003"]
    assert folder.attempts() == attempts


# Trials


def test_trial_folder_follows_its_id(tmp_path):
    assert Store(tmp_path).trial_folder("ab" + "c" * 62).folder == tmp_path / "trials/ab" / (
        "ab" + "c" * 14
    )
    assert Store(tmp_path).trial_folder("ab" + "c" * 14) == Store(tmp_path).trial_folder(
        "ab" + "c" * 62
    )


def test_deleting_results_keeps_attempts(folder):
    attempt = folder.new_attempt()
    attempt.record_end("done")
    paths = [folder.result_path, folder.checkpoint_path, folder.curve_path, folder.samples_path]
    paths += [folder.generator_path("last"), folder.scores_path("p", "best")]
    for path in paths:
        write_bytes(path, b"x")
    folder.delete_results()
    assert [path for path in paths if path.exists()] == []
    assert folder.attempts() == [attempt]
    assert attempt.read_end() is not None


# Locks


@pytest.fixture
def locked_folder(tmp_path):
    return Store(tmp_path).trial_folder("abcdef")


@pytest.fixture
def locking_process(locked_folder):
    """Another process that holds the trial's lock."""
    with held_by_another_process(locked_folder.folder) as process:
        yield process


def test_locked_trial_is_busy_for_others(locking_process, locked_folder):
    with pytest.raises(Busy, match="abcdef"), locked_folder.lock():
        pytest.fail("two hold one trial")


def test_results_of_locked_trial_are_kept(locking_process, locked_folder):
    write_bytes(locked_folder.result_path, b"{}")
    with pytest.raises(Busy):
        locked_folder.delete_results()
    assert locked_folder.result_path.exists()


def test_killed_process_releases_its_lock(locking_process, locked_folder):
    locking_process.kill()
    locking_process.wait()
    write_bytes(locked_folder.result_path, b"{}")
    locked_folder.delete_results()
    assert not locked_folder.result_path.exists()


def test_finished_process_releases_its_lock(locking_process, locked_folder):
    locking_process.communicate("")
    assert locking_process.returncode == 0
    write_bytes(locked_folder.result_path, b"{}")
    locked_folder.delete_results()
    assert not locked_folder.result_path.exists()


def test_error_releases_the_lock(locked_folder):
    with pytest.raises(ZeroDivisionError), locked_folder.lock():
        raise ZeroDivisionError
    with locked_folder.lock(), pytest.raises(Busy), locked_folder.lock():
        pytest.fail("one process holds one trial twice")


def test_plan_keeps_the_order_of_metrics_and_protocols(tmp_path):
    plan = {"metrics": {"modes": {}, "fid": {}}, "protocols": {"b": {}, "a": {}}, "trials": []}
    write_plan(tmp_path, plan)
    stored = json.loads((tmp_path / "plan.json").read_text())
    assert [*stored["metrics"], *stored["protocols"]] == ["modes", "fid", "b", "a"]
