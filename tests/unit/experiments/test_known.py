"""Records of finished trials: a run elsewhere counts them as done."""

import shutil
import tarfile

import pytest
from pandas.testing import assert_frame_equal

import ganbench as gb
from ganbench.experiments.store import Store
from ganbench.experiments.store_archive import plan_paths

pytestmark = pytest.mark.heavy  # a small run


@pytest.fixture
def suite(small_run, tmp_path):
    return shutil.copy(small_run.parent / "small.toml", tmp_path)


@pytest.fixture
def records(ganbench, small_run, tmp_path):
    (tmp_path / "slices").mkdir()
    path = tmp_path / "slices" / "small.tar.gz"
    code, out, err = ganbench("export", "small", "--records", "--results", small_run, "--to", path)
    assert code == 0, err
    assert "finished" in out
    return path


def run_known(ganbench, suite, known, results):
    code, out, err = ganbench("run", suite, "--known", known, "--results", results, "--workers", 1)
    assert code == 0, err
    return out


def test_records_have_no_generators_pictures_and_logs(records):
    with tarfile.open(records) as archive:
        names = archive.getnames()
    assert [name for name in names if name.endswith("result.json")]
    assert {name.rpartition(".")[2] for name in names} == {"json"}
    assert records.stat().st_size < 100_000


def test_records_leave_out_unfinished_trials(ganbench, small_run, tmp_path):
    shutil.copytree(small_run, tmp_path / "half")
    first, *others = Store(tmp_path / "half").trial_paths()
    (first / "result.json").unlink()
    code, _, err = ganbench("export", "small", "--records", "--results", "half", "--to", "a.tar.gz")
    assert code == 0, err
    with tarfile.open("a.tar.gz") as archive:
        assert {
            name.split("/")[2] for name in archive.getnames() if name.startswith("trials/")
        } == {path.name for path in others}


def test_known_trials_are_not_trained_again(ganbench, suite, small_run, records, tmp_path):
    out = run_known(ganbench, suite, records, tmp_path / "ours")
    trials = len(Store(small_run).trial_paths())
    assert f"{trials} trials added" in out
    assert f"0 trials trained, {trials} kept" in out
    ours, theirs = gb.load(tmp_path / "ours" / "small"), gb.load(small_run / "small")
    assert_frame_equal(ours, theirs)


def test_folder_of_slices_is_known(ganbench, suite, small_run, records, tmp_path):
    out = run_known(ganbench, suite, records.parent, tmp_path / "ours")
    assert f"0 trials trained, {len(Store(small_run).trial_paths())} kept" in out


def test_trial_without_record_is_trained(ganbench, suite, small_run, tmp_path):
    shutil.copytree(small_run, tmp_path / "half")
    first, *others = Store(tmp_path / "half").trial_paths()
    shutil.rmtree(first)
    out = run_known(ganbench, suite, tmp_path / "half", tmp_path / "ours")
    assert f"1 trial trained, {len(others)} kept" in out


def test_records_of_other_code_are_refused(ganbench, suite, records, tmp_path, monkeypatch):
    monkeypatch.setattr("ganbench.experiments.trial.torch_minor", lambda: "1.0")
    code, _, err = ganbench("run", suite, "--known", records, "--results", tmp_path / "ours")
    assert code == 2
    assert "trained by other code (or another torch)" in err


def test_missing_source_is_refused(ganbench, suite, tmp_path):
    code, _, err = ganbench("run", suite, "--known", "gone", "--results", tmp_path / "ours")
    assert (code, err) == (2, "there is no archive and no folder gone\n")


def test_tables_without_trials_are_refused(ganbench, suite, small_run, tmp_path):
    shutil.copytree(small_run / "small", tmp_path / "published" / "small")
    ours = tmp_path / "ours"
    code, _, err = ganbench("run", suite, "--known", tmp_path / "published", "--results", ours)
    assert code == 2
    assert "published has tables and no trials: name a store, or records of `ganbench export" in err
    assert not plan_paths(ours)
