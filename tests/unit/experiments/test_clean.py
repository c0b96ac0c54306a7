"""Files of a store that no table needs: they are listed, and deleted on request alone."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from helpers import held_by_another_process

from ganbench.experiments.clean_store import MIN_AGE_OF_OTHERS, drop_planned, find_leftovers
from ganbench.experiments.store import Store, TrialFolder
from ganbench.files import read_json, write_bytes, write_json

pytestmark = pytest.mark.heavy  # a small run


@pytest.fixture
def results(small_run, tmp_path) -> Path:
    shutil.copytree(small_run, tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def folder(results) -> TrialFolder:
    """A finished trial of the plan."""
    return TrialFolder(Store(results).trial_paths()[0])


@pytest.fixture
def unplanned(results) -> TrialFolder:
    """A trial that no plan names."""
    folder = Store(results).trial_folder("ab" * 8)
    write_bytes(folder.generator_path("last"), bytes(1000))
    return folder


def files(results):
    return {p: p.read_bytes() for p in results.rglob("*") if p.is_file()}


def listed(ganbench, *words):
    """Returns the kinds and paths that `clean` prints, and whether it deleted them."""
    code, out, err = ganbench("clean", *words, "--results", "results", "--json")
    assert code == 0, err
    answer = json.loads(out)
    return {(f["kind"], f["path"]) for f in answer["files"]}, answer["deleted"]


def test_clean_store_has_nothing_to_delete(ganbench, results):
    assert listed(ganbench) == (set(), False)
    assert ganbench("clean", "--yes", "--results", results)[1] == "Nothing to delete.\n"


def test_nothing_is_deleted_without_yes(ganbench, results, unplanned):
    before = files(results)
    code, out, _ = ganbench("clean", "--results", results)
    assert code == 0
    assert out.splitlines()[0] == "trials: 1, 1 kB: trials that no plan names"
    assert str(unplanned.folder) in out
    assert out.splitlines()[-1] == "Nothing was deleted. With --yes, 1 kB will be."
    assert files(results) == before


def test_unplanned_trials_are_deleted(ganbench, results, unplanned):
    before = files(results)
    out = ganbench("clean", "--yes", "--results", results)[1]
    assert out.splitlines()[-1] == "Deleted 1 kB."
    assert not unplanned.folder.exists()
    planned = {p for p in before if not p.is_relative_to(unplanned.folder)}
    assert files(results).keys() == planned


def write_plan_of_unplanned(results, folder):
    plan = read_json(results / "small" / "plan.json")
    item = {**plan["trials"][0], "trial": "ab" * 32}
    write_json(results / folder / "plan.json", {**plan, "suite": "other", "trials": [item]})


@pytest.mark.parametrize("folder", ["other", "small.old", "Small", "s" * 65, ".hidden"])
def test_trials_of_any_plan_are_kept(ganbench, results, unplanned, folder):
    write_plan_of_unplanned(results, folder)
    assert listed(ganbench) == (set(), False)


def test_trial_of_a_run_that_began_meanwhile_is_kept(results, unplanned):
    found = find_leftovers(results, ("trials",))
    write_plan_of_unplanned(results, "other")
    assert [each.path for each in found] == [unplanned.folder]
    assert drop_planned(results, found) == []


def test_checkpoint_of_a_finished_trial_is_deleted(ganbench, folder):
    folder.checkpoint_path.write_bytes(bytes(5))
    assert listed(ganbench)[0] == {
        ("checkpoints", str(folder.checkpoint_path.relative_to(Path.cwd())))
    }
    listed(ganbench, "--yes")
    assert not folder.checkpoint_path.exists()


def test_checkpoint_of_an_unfinished_trial_is_kept(ganbench, folder):
    folder.delete_results()
    folder.checkpoint_path.write_bytes(bytes(5))
    assert listed(ganbench) == (set(), False)


def test_last_attempt_of_a_finished_trial_is_kept(ganbench, folder):
    folder.new_attempt().record_end("done")
    listed(ganbench, "--yes")
    assert [attempt.folder.name for attempt in folder.attempts()] == ["002"]


def test_attempt_after_a_deleted_one_is_new(ganbench, folder):
    folder.new_attempt().record_end("done")
    listed(ganbench, "--yes")
    assert folder.new_attempt().folder.name == "003"


@pytest.mark.parametrize(
    ("machine", "age", "found"),
    [
        (os.uname().nodename, 0, True),
        ("elsewhere", 0, False),
        ("elsewhere", MIN_AGE_OF_OTHERS + 60, True),
    ],
)
def test_temporary_files_of_dead_processes(ganbench, folder, machine, age, found):
    dead = subprocess.Popen(["true"])
    dead.wait()
    path = folder.folder / f".result.json.{dead.pid}@{machine}"
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age,) * 2)
    assert {Path(p).name for _, p in listed(ganbench, "--yes")[0]} == (
        {path.name} if found else set()
    )
    assert path.exists() is not found


def test_temporary_file_of_a_living_process_is_kept(ganbench, folder):
    (folder.folder / f".result.json.{os.getpid()}@{os.uname().nodename}").touch()
    assert listed(ganbench) == (set(), False)


def test_running_trial_is_kept(ganbench, results, unplanned):
    with held_by_another_process(unplanned.folder):
        for words in ((), ("--yes",)):
            code, out, _ = ganbench("clean", *words, "--results", results)
            lines = ["1 entry of running trials kept.", "Nothing to delete."]
            assert (code, out.splitlines()) == (0, lines)
    assert unplanned.generator_path("last").exists()
    ganbench("clean", "--yes", "--results", results)
    assert not unplanned.folder.exists()


def test_file_that_vanishes_while_its_folder_is_measured(ganbench, unplanned, monkeypatch):
    """A running trial renames temporary files at any moment."""
    renamed, walk = unplanned.folder / ".lease.json.1@here", os.walk
    renamed.write_bytes(b"half")

    def walk_and_lose(folder):
        for entry in walk(folder):
            yield entry
            renamed.unlink(missing_ok=True)

    monkeypatch.setattr(os, "walk", walk_and_lose)
    kind, path = "trials", str(unplanned.folder.relative_to(Path.cwd()))
    assert listed(ganbench, "trials") == ({(kind, path)}, False)
    assert not renamed.exists()


def test_kinds_select_files(ganbench, folder, unplanned):
    folder.checkpoint_path.touch()
    assert {kind for kind, _ in listed(ganbench, "checkpoints", "--yes")[0]} == {"checkpoints"}
    assert unplanned.folder.exists()


def test_caches_are_deleted_by_name_alone(ganbench, results, monkeypatch, tmp_path):
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))
    own, foreign = tmp_path / "cache" / ("0f" * 16), tmp_path / "cache" / "my data"
    write_bytes(own / "features.safetensors", bytes(10))
    write_bytes(foreign / "x", b"x")
    assert listed(ganbench) == (set(), False)
    assert listed(ganbench, "caches", "--yes") == ({("caches", str(own))}, True)
    assert (own.exists(), foreign.exists()) == (False, True)


BAD_CALLS = {
    "typo": (
        ("checkpoint",),
        "no kind of files is called 'checkpoint'; did you mean 'checkpoints'?",
    ),
    "no store": (("--results", "void"), "void is no store: it has no folder `trials`"),
    "no plan": (("trials",), "results has no plan, so all of its trials would be deleted"),
}


@pytest.mark.parametrize(("words", "message"), BAD_CALLS.values(), ids=BAD_CALLS)
def test_wrong_call_exits_2_and_deletes_nothing(ganbench, results, words, message):
    Path("void").mkdir()
    (results / "small" / "plan.json").unlink()
    before = files(results)
    code, out, err = ganbench("clean", "--results", "results", "--yes", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert files(results) == before


def test_damaged_plan_deletes_nothing(ganbench, results, unplanned):
    (results / "small" / "plan.json").write_text("{")
    code, _, err = ganbench("clean", "--yes", "--results", results)
    assert code == 2
    assert "plan.json is damaged" in err
    assert unplanned.folder.exists()
