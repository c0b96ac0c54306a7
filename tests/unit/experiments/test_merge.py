"""Stores of machines that share nothing: export and merge."""

import gzip
import io
import json
import os
import shlex
import shutil
import subprocess
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from helpers import held_by_another_process

from ganbench.experiments import merge_stores, store_archive
from ganbench.experiments.merge_stores import first_difference, merge_source
from ganbench.experiments.outcomes import read_plan_status
from ganbench.experiments.store import RETRAIN, Store, TrialFolder, read_plan
from ganbench.files import read_json, temporary_path, write_bytes, write_json

pytestmark = pytest.mark.heavy  # a small run


@pytest.fixture
def theirs(small_run, tmp_path) -> Path:
    """The store of another machine, with a finished run."""
    shutil.copytree(small_run, tmp_path / "theirs")
    return tmp_path / "theirs"


@pytest.fixture
def ours(tmp_path) -> Path:
    return tmp_path / "ours"


@pytest.fixture
def archive(ganbench, theirs, tmp_path) -> Path:
    code, _, err = ganbench("export", "small", "--results", theirs, "--to", tmp_path / "a.tar.gz")
    assert code == 0, err
    return tmp_path / "a.tar.gz"


def contents(results):
    """The files of trials, floors and plans that stores share, by relative path."""
    folders = [*results.glob("trials/*/*"), results / "floors", *results.glob("*/plan.json")]
    paths = [p for folder in folders for p in (folder.rglob("*") if folder.is_dir() else [folder])]
    shared = (p for p in paths if p.is_file() and "leases" not in p.parts)
    return {p.relative_to(results): p.read_bytes() for p in shared}


def trial_paths(results):
    return [path for path in Store(results).trial_paths() if (path / "result.json").exists()]


def counts_of(summary):
    return summary.added, summary.completed, summary.kept


def statuses(results):
    return read_plan_status(read_plan(results / "small"), Store(results)).outcomes


def test_archive_gives_the_same_store(theirs, ours, archive):
    summary = merge_source(archive, ours)
    assert counts_of(summary) == (len(trial_paths(theirs)), 0, 0)
    assert contents(ours) == contents(theirs)
    assert statuses(ours) == statuses(theirs)


def test_folder_gives_the_same_store(theirs, ours):
    merge_source(theirs, ours)
    assert contents(ours) == contents(theirs)


def test_second_merge_changes_nothing(theirs, ours, archive):
    merge_source(archive, ours)
    before = contents(ours)
    summary = merge_source(theirs, ours)
    assert counts_of(summary) == (0, 0, len(trial_paths(theirs)))
    assert (summary.differences, contents(ours)) == ([], before)


def test_merge_leaves_no_other_file(ours, archive):
    merge_source(archive, ours)
    assert sorted(path.name for path in ours.iterdir()) == ["floors", "small", "trials"]
    assert list(ours.glob("trials/*/.*")) == []


def test_unfinished_trial_takes_their_result(theirs, ours):
    merge_source(theirs, ours)
    folder = TrialFolder(trial_paths(ours)[0])
    folder.delete_results()
    folder.checkpoint_path.write_bytes(b"half of a training")
    folder.new_attempt().record_end("failed", "no memory")
    summary = merge_source(theirs, ours)
    assert counts_of(summary) == (0, 1, len(trial_paths(theirs)) - 1)
    assert not folder.checkpoint_path.exists()
    assert [attempt.read_end()["outcome"] for attempt in folder.attempts()] == ["done", "failed"]
    assert statuses(ours) == statuses(theirs)


def test_their_attempts_follow_ours(theirs, ours):
    folder = TrialFolder(trial_paths(theirs)[0])
    own = TrialFolder(ours / folder.folder.relative_to(theirs))
    own.new_attempt().record_end("failed", "no memory")
    merge_source(theirs, ours)
    assert [attempt.read_end()["outcome"] for attempt in own.attempts()] == ["failed", "done"]


def test_attempt_that_died_before_its_first_event_is_left_out(theirs, ours):
    folder = TrialFolder(trial_paths(theirs)[0])
    own = TrialFolder(ours / folder.folder.relative_to(theirs))
    folder.new_attempt()
    for _ in range(2):
        merge_source(theirs, ours)
        assert len(own.attempts()) == len(folder.attempts()) - 1


def test_finished_trial_is_kept(theirs, ours):
    merge_source(theirs, ours)
    before = contents(ours)
    for path in trial_paths(theirs):
        TrialFolder(path).delete_results()
    merge_source(theirs, ours)
    assert contents(ours) == before


def test_values_of_metrics_are_united(theirs, ours):
    merge_source(theirs, ours)
    path = next(ours.glob("trials/*/*/evaluations/*-last.json"))
    their_path, content = theirs / path.relative_to(ours), read_json(path)
    write_json(path, {**content, "metrics": {"fid": content["metrics"]["fid"]}})
    summary = merge_source(theirs, ours)
    assert path.read_bytes() == their_path.read_bytes()
    assert summary.differences == []


def test_missing_evaluations_are_taken(theirs, ours):
    merge_source(theirs, ours)
    before = contents(ours)
    shutil.rmtree(next(ours.glob("trials/*/*/evaluations")))
    merge_source(theirs, ours)
    assert contents(ours) == before


def change(path, key, value):
    """Changes a number within a JSON file."""
    content = read_json(path)
    place = content
    for name in key[:-1]:
        place = place[name]
    place[key[-1]] = value
    write_json(path, content)


def test_other_numbers_are_named_and_not_mixed(ganbench, theirs, ours):
    merge_source(theirs, ours)
    before = contents(ours)
    path = trial_paths(theirs)[0]
    change(path / "curve.json", ("scores", 0, "fid"), 12345.0)
    change(path / "result.json", ("provenance", "code"), "f" * 16)
    change(next(path.glob("evaluations/*-last.json")), ("metrics", "fid", "value"), 54321.0)
    code, _, err = ganbench("merge", theirs, "--results", ours)
    assert code == 1
    assert err.startswith(f"{path.name}: two trainings differ, ours is kept: scores.0.fid is ")
    assert "here, 12345.0 there (here code " in err
    assert "there code ffffffffffffffff, torch " in err
    assert err.count("\n") == 1
    assert contents(ours) == before


def test_trials_without_generators_are_the_same_trainings(ganbench, theirs, ours, tmp_path):
    to = ("--records", "--results", theirs, "--to", tmp_path / "records.tar.gz")
    assert ganbench("export", "small", *to)[0] == 0
    merge_source(theirs, ours)
    before = contents(ours)
    assert merge_source(tmp_path / "records.tar.gz", ours).differences == []
    assert contents(ours) == before


def test_other_generators_are_named(theirs, ours):
    merge_source(theirs, ours)
    path = next(theirs.glob("trials/*/*/samplers/*"))
    path.write_bytes(path.read_bytes() + b"0")
    (sentence,) = merge_source(theirs, ours).differences
    assert f"generators.{path.stem} is " in sentence


def test_other_values_are_named(theirs, ours):
    merge_source(theirs, ours)
    before = contents(ours)
    path = next(theirs.glob("trials/*/*/evaluations/*-last.json"))
    change(path, ("metrics", "fid", "value"), 54321.0)
    (sentence,) = merge_source(theirs, ours).differences
    assert f"fid of {path.stem} differs, ours is kept" in sentence
    assert "54321.0 there" in sentence
    assert contents(ours) == before


def test_times_of_trainings_may_differ(theirs, ours):
    merge_source(theirs, ours)
    path = trial_paths(theirs)[0]
    change(path / "result.json", ("costs", "train_seconds"), 99.0)
    change(path / "curve.json", ("scores", 0, "seconds"), 99.0)
    assert merge_source(theirs, ours).differences == []


def test_running_trial_is_left_alone(ganbench, theirs, ours):
    path = trial_paths(theirs)[0]
    own = ours / path.relative_to(theirs)
    own.mkdir(parents=True)
    with held_by_another_process(own):
        code, _, err = ganbench("merge", theirs, "--results", ours)
    assert code == 4
    assert f"{path.name}: a process trains it here" in err
    assert not (own / "result.json").exists()
    assert ganbench("merge", theirs, "--results", ours)[0] == 0
    assert statuses(ours) == statuses(theirs)


class Killed(BaseException):
    """Stands for the end of the process."""


def die_at_rename(patch, moment):
    calls = iter(range(moment))

    def dying(act):
        def call(*arguments):
            if next(calls, None) is None:
                raise Killed
            return act(*arguments)

        return call

    for name in ("rename", "replace"):
        patch.setattr(os, name, dying(getattr(os, name)))


@pytest.mark.parametrize("moment", range(25))
def test_killed_merge_is_completed(theirs, ours, archive, monkeypatch, moment):
    """It dies before one of its renames; the next merge completes it."""
    merge_source(theirs, ours)
    expected = contents(ours)
    for path in trial_paths(ours)[::2]:
        shutil.rmtree(path)
    folder = TrialFolder(trial_paths(ours)[0])
    folder.delete_results()
    shutil.rmtree(folder.folder / "attempts")
    with monkeypatch.context() as patch, suppress(Killed):
        die_at_rename(patch, moment)
        merge_source(archive, ours)
    for path in trial_paths(ours):
        assert (path / "spec.json").exists()
    summary = merge_source(archive, ours)
    assert summary.differences == []
    assert contents(ours) == expected


def test_left_overs_of_a_killed_merge_are_deleted(ours, archive):
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = ours / f".merge.{dead.pid}@{os.uname().nodename}"
    (left / "trials").mkdir(parents=True)
    merge_source(archive, ours)
    assert not left.exists()


def test_left_overs_with_the_number_of_this_process_are_replaced(theirs, ours, archive):
    """As in a container with a fixed name, after its restart."""
    trial = trial_paths(theirs)[0].relative_to(theirs)
    for path in (ours / "merge", ours / trial):
        temporary_path(path).mkdir(parents=True)
        (temporary_path(path) / "old.json").touch()
    merge_source(archive, ours)
    assert contents(ours) == contents(theirs)
    assert not temporary_path(ours / "merge").exists()


# Plans


@pytest.fixture
def merge_seed(theirs, ours, tmp_path):
    """Merges one seed of the finished run into our store, as a part with options of its own."""

    def merge(seed, *options):
        part, plan = tmp_path / f"part{seed}", read_plan(theirs / "small")
        items = [item for item in plan["trials"] if item["seed"] == seed]
        own = {"trials": items, "seeds": [seed], "options": list(options)}
        write_json(part / "small" / "plan.json", plan | own)
        for item in items:
            source = Store(theirs).trial_folder(item["trial"]).folder
            shutil.copytree(source, part / source.relative_to(theirs), dirs_exist_ok=True)
        shutil.copytree(theirs / "floors", part / "floors")
        assert merge_source(part, ours).differences == []

    return merge


def test_parts_of_a_run_give_one_plan(theirs, ours, merge_seed):
    plan = read_json(theirs / "small" / "plan.json")
    for seed in plan["seeds"]:
        merge_seed(seed, "-o", f"seeds=[{seed}]")
    options = ["-o", "budget.cpu.seeds=[0, 1]"]
    assert read_json(ours / "small" / "plan.json") == plan | {"options": options}
    assert statuses(ours) == statuses(theirs)


@pytest.mark.parametrize("seeds", [("-o", "seeds=[0]"), ("--seeds", "1")])
def test_command_of_united_parts_goes_on_with_all_seeds(
    ganbench, small_run, theirs, ours, merge_seed, seeds
):
    shutil.copy(small_run.parent / "small.toml", "small.toml")
    merge_seed(0, *seeds, "--workers", "0", "--device", "cpu")
    merge_seed(1, "-o", "seeds=[1]")
    last = read_plan(ours / "small")["trials"][-1]["trial"]
    Store(ours).trial_folder(last).delete_results()
    command = ganbench("status", "small", "--results", ours)[1].split("`")[1]
    code, out, err = ganbench(*shlex.split(command)[1:])
    assert (code, err) == (0, "")
    assert "Replaced the tables" not in out
    assert statuses(ours) == statuses(theirs)


def test_other_plan_is_named(theirs, ours):
    merge_source(theirs, ours)
    change(theirs / "small" / "plan.json", ("budget", "amount"), 7)
    (sentence,) = merge_source(theirs, ours).differences
    assert (
        sentence == "suite small: two plans differ, ours is kept: budget.amount is 40 here, 7 there"
    )


def test_trial_under_another_name_counts_once(theirs, ours):
    merge_source(theirs, ours)
    before = read_plan(ours / "small")
    others = [{**item, "data": f"/elsewhere/{item['data']}"} for item in before["trials"]]
    write_json(theirs / "small" / "plan.json", before | {"trials": others})
    assert merge_source(theirs, ours).differences == []
    assert read_plan(ours / "small") == before


def test_other_examples_are_named(theirs, ours):
    merge_source(theirs, ours)
    plan = read_json(theirs / "small" / "plan.json")
    protocol, record = next(iter(plan["protocols"].items()))
    change(theirs / "small" / "plan.json", ("protocols", protocol, "fingerprint"), "0" * 64)
    (sentence,) = merge_source(theirs, ours).differences
    assert sentence.endswith(f"ours is kept: {record['data']} has other examples there")


@pytest.mark.parametrize(
    ("here", "there", "sentence"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, "it has b only here, nothing only there"),
        ({"x": {"fid": 1}}, {"x": {"kid": 1}}, "x has fid only here, kid only there"),
        ({"x": [1]}, {"x": [1, 2]}, "x is 1 entry here, 2 entries there"),
    ],
)
def test_differences_are_named(here, there, sentence):
    assert first_difference(here, there) == sentence


# Archives from elsewhere


def pack(path, *members, manifest=True):
    """Writes an archive of (name, content) pairs or TarInfos."""
    first = [("ganbench-store.json", b'{"schema": 1, "suites": []}')] if manifest else []
    with tarfile.open(path, "w:gz") as archive:
        for member in [*first, *members]:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member, io.BytesIO(bytes(member.size)))
                continue
            entry = tarfile.TarInfo(member[0])
            entry.size = len(member[1])
            archive.addfile(entry, io.BytesIO(member[1]))
    return path


def special(name, kind, target=""):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


TRIAL = "trials/ab/ab0123456789abcd"
HOSTILE = {
    "parent": ("../outside.json", b"{}"),
    "absolute": ("/tmp/outside.json", b"{}"),
    "inner parent": (f"{TRIAL}/../../../../outside.json", b"{}"),
    "foreign name": (f"{TRIAL}/run.sh", b"true"),
    "checkpoint": (f"{TRIAL}/checkpoint.pt", b""),
    "other folder": ("trials/cd/ab0123456789abcd/spec.json", b"{}"),
    "symbolic link": special(f"{TRIAL}/spec.json", tarfile.SYMTYPE, "/etc/passwd"),
    "hard link": special(f"{TRIAL}/spec.json", tarfile.LNKTYPE, "/etc/passwd"),
    "device": special(f"{TRIAL}/spec.json", tarfile.CHRTYPE),
    "pipe": special(f"{TRIAL}/spec.json", tarfile.FIFOTYPE),
    "control characters": ("\x1b[2J.json", b"{}"),
    "line break": (f"{TRIAL}/spec.json\n", b"{}"),
}


@pytest.mark.parametrize("member", HOSTILE.values(), ids=HOSTILE)
def test_hostile_archive_is_refused(ganbench, ours, tmp_path, member):
    path = pack(tmp_path / "hostile.tar.gz", member)
    code, out, err = ganbench("merge", path, "--results", ours)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "was not merged" in err
    assert "\x1b" not in err
    assert list(ours.rglob("*")) == []
    assert not (tmp_path / "outside.json").exists()


def test_file_twice_is_refused(ganbench, ours, tmp_path):
    spec = (f"{TRIAL}/spec.json", b"{}")
    code, _, err = ganbench("merge", pack(tmp_path / "a.tar.gz", spec, spec), "--results", ours)
    assert (code, err) == (2, f"{tmp_path}/a.tar.gz has spec.json twice\n")


def test_endless_zeros_are_refused(ganbench, ours, tmp_path):
    """A kilobyte declares a terabyte of a generator."""
    entry = tarfile.TarInfo(f"{TRIAL}/samplers/last.safetensors")
    entry.size = 2**40
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(gzip.compress(entry.tobuf() + bytes(1000)))
    code, _, err = ganbench("merge", path, "--results", ours)
    assert code == 2
    assert "of 1,099,511,627,776 bytes: it was not merged" in err


def test_long_header_is_refused(ganbench, ours, tmp_path):
    """An extended header of a gigabyte would fill the memory."""
    entry = tarfile.TarInfo("header")
    entry.type, entry.size = tarfile.XHDTYPE, 2**30
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(gzip.compress(entry.tobuf() + bytes(2**21)))
    code, _, err = ganbench("merge", path, "--results", ours)
    assert (code, err) == (
        2,
        f"{path} is damaged (a header is too long): export the store again\n",
    )


@pytest.mark.parametrize("harm", ["truncated", "flipped", "no gzip", "empty", "no tar"])
def test_damaged_archive_is_refused(ganbench, ours, archive, harm):
    content = archive.read_bytes()
    flipped = bytes([*content[:2000], content[2000] ^ 255, *content[2001:]])
    harmed = {
        "truncated": content[: len(content) // 2],
        "flipped": flipped,
        "no gzip": b"no archive" * 100,
        "empty": b"",
        "no tar": gzip.compress(b"no archive" * 1000),
    }
    archive.write_bytes(harmed[harm])
    code, out, err = ganbench("merge", archive, "--results", ours)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert f"{archive} " in err
    assert "export the store again" in err
    assert list(ours.rglob("*")) == []


def repack(archive, name, content):
    """Replaces the content of a file of an archive."""
    with tarfile.open(archive) as old:
        members = [(m.name, old.extractfile(m).read()) for m in old]
    changed = [(own, content if own.endswith(name) else data) for own, data in members]
    assert changed != members
    pack(archive, *changed, manifest=False)


@pytest.mark.parametrize("name", ["result.json", "spec.json", "-last.json", "plan.json"])
def test_damaged_file_of_an_archive_is_named(ganbench, ours, archive, name):
    repack(archive, name, b'{"id": 3}')
    code, out, err = ganbench("merge", archive, "--results", ours)
    assert (code, out) == (2, "")
    assert f"{archive}: " in err
    assert f"{name} is damaged" in err
    assert ".merge" not in err
    assert list(ours.rglob("*")) == []


def test_damaged_file_of_our_store_has_its_own_remedy(ganbench, ours, archive):
    merge_source(archive, ours)
    path = trial_paths(ours)[0] / "curve.json"
    path.write_text("{")
    code, _, err = ganbench("merge", archive, "--results", ours)
    assert (code, err) == (2, f"{path} is damaged: {RETRAIN}\n")


def test_archive_of_a_newer_program_is_refused(ganbench, ours, archive):
    repack(archive, "ganbench-store.json", json.dumps({"schema": 9, "suites": []}).encode())
    code, _, err = ganbench("merge", archive, "--results", ours)
    assert code == 2
    assert "ganbench-store.json has schema 9" in err
    assert "upgrade ganbench" in err


def test_other_archive_is_no_export(ganbench, ours, tmp_path):
    spec = (f"{TRIAL}/spec.json", b"{}")
    path = pack(tmp_path / "a.tar.gz", spec, manifest=False)
    assert "it has no ganbench-store.json" in ganbench("merge", path, "--results", ours)[2]


# Exports


def test_links_are_not_exported(ganbench, theirs, ours, tmp_path):
    (tmp_path / "secret").write_text("secret")
    path = trial_paths(theirs)[0]
    (path / "secret.png").symlink_to(tmp_path / "secret")
    assert ganbench("export", "small", "--results", theirs, "--to", tmp_path / "a.tar.gz")[0] == 0
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        assert not [name for name in archive.getnames() if "secret" in name]


def test_file_that_is_replaced_is_exported_as_it_was_opened(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    path.write_bytes(b"before")

    def open_and_replace(opened, mode):
        file = opened.open(mode)
        write_bytes(path, b"afterwards, and longer")
        return file

    monkeypatch.setattr(store_archive, "open", open_and_replace, raising=False)
    store_archive.write_archive(tmp_path / "a.tar.gz", tmp_path, [path], b"{}")
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        assert archive.extractfile("result.json").read() == b"before"


def test_export_has_trials_of_its_suite_alone(ganbench, theirs, tmp_path):
    plan = read_json(theirs / "small" / "plan.json")
    items = [item for item in plan["trials"] if item["seed"] == 0]
    write_json(theirs / "half" / "plan.json", {**plan, "suite": "half", "trials": items})
    code, out, _ = ganbench("export", "half", "--results", theirs, "--json")
    count = len({item["trial"] for item in items if not item["objection"]})
    assert (code, json.loads(out)["trials"], json.loads(out)["finished"]) == (0, count, count)
    assert Path("half.tar.gz").stat().st_size == json.loads(out)["bytes"]


def test_checkpoints_are_not_exported(ganbench, theirs, tmp_path):
    folder = TrialFolder(trial_paths(theirs)[0])
    folder.delete_results()
    folder.checkpoint_path.write_bytes(b"x")
    out = ganbench("export", "small", "--results", theirs, "--to", tmp_path / "a.tar.gz")[1]
    assert f"{len(trial_paths(theirs)) + 1} trials, {len(trial_paths(theirs))} finished" in out
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        assert not [name for name in archive.getnames() if "checkpoint" in name]


BAD_CALLS = {
    "unknown suite": (("export", "smal"), "did you mean 'small'"),
    "missing source": (("merge", "gone.tar.gz"), "there is no archive and no folder gone.tar.gz"),
    "empty folder": (("merge", "void"), "void is no store: it has neither trials nor plans"),
    "own store": (("merge", "theirs"), "theirs is this store itself"),
}


@pytest.mark.parametrize(("words", "message"), BAD_CALLS.values(), ids=BAD_CALLS)
def test_wrong_call_exits_2_with_a_sentence(ganbench, theirs, words, message):
    Path("void").mkdir()
    before = contents(theirs)
    code, out, err = ganbench(*words, "--results", "theirs")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert contents(theirs) == before


def test_missing_source_makes_no_store(ganbench):
    code, _, _ = ganbench("merge", "gone.tar.gz", "--results", "new")
    assert (code, Path("new").exists()) == (2, False)


def test_new_trials_are_flushed_in_batches(theirs, ours, monkeypatch):
    """Names of trials appear only after their content is on the disk."""
    monkeypatch.setattr(merge_stores, "TRIALS_PER_SYNC", 2)
    seen = []
    monkeypatch.setattr(os, "sync", lambda: seen.append(len(trial_paths(ours))))
    merge_source(theirs, ours)
    assert seen == list(range(0, len(trial_paths(theirs)), 2))
