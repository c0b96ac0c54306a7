"""SIGKILL in the middle of a write: the repeated command ends like a run without a kill."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import ganbench as package

pytestmark = pytest.mark.heavy

SUITE = """
schema = 1
name = "tiny"
data = ["digits"]
metrics = ["fid"]
seeds = 1
points = 2
[[grid]]
variants = ["gan(width=8)"]
[budget.cpu]
images = 640
"""
KILL_AT_WRITE = """
import os, signal
rename = os.replace
def replace(source, target):
    if os.path.basename(target) == {name!r} and not os.path.exists({mark!r}):
        open({mark!r}, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)
os.replace = replace
"""


@pytest.fixture
def run(tmp_path):
    """Runs the suite, in a process that is killed at its first write of a file of this name."""
    (tmp_path / "tiny.toml").write_text(SUITE)

    def call(results: str, workers: int = 0, name: str = "") -> int:
        site = tmp_path / f"site-{name}"
        site.mkdir(exist_ok=True)
        code = KILL_AT_WRITE.format(name=name, mark=str(site / "killed"))
        (site / "sitecustomize.py").write_text(code)
        options = ("--results", results, "--workers", str(workers), "--device", "cpu")
        return subprocess.run(
            [sys.executable, "-m", "ganbench", "run", "tiny.toml", *options],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(site)},
            capture_output=True,
            timeout=120,
        ).returncode

    return call


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    (folder / "tiny.toml").write_text(SUITE)
    options = ("--results", "results", "--workers", "0", "--device", "cpu")
    command = [sys.executable, "-m", "ganbench", "run", "tiny.toml", *options]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    return folder / "results"


def temporary_files(folder: Path) -> list[str]:
    """Returns the files that writes of dead processes left."""
    return [path.name for path in folder.rglob(".*@*")]


def read_rows(results: Path) -> pd.DataFrame:
    frame = package.load(results / "tiny")
    return frame[frame["kind"].isin(["quality", "curve"])].drop(columns="seconds")


def assert_equal_stores(results: Path, expected: Path) -> None:
    pd.testing.assert_frame_equal(read_rows(results), read_rows(expected), check_exact=True)
    for path in expected.glob("trials/*/*/samplers/*"):
        assert (results / path.relative_to(expected)).read_bytes() == path.read_bytes()
    files = [sorted(p.name for p in root.rglob("*") if p.is_file()) for root in (results, expected)]
    attempts = ("events.jsonl", "exit.json")
    first, second = ([name for name in names if name not in attempts] for names in files)
    assert first == second


OTHER_FILES = ("last.safetensors", "plan.json", "results.parquet", "report.html")


@pytest.mark.parametrize(
    "name",
    [
        "result.json",
        *(pytest.param(name, marks=pytest.mark.slow) for name in OTHER_FILES),
    ],
)
def test_run_killed_in_a_write_is_completed(run, unbroken, tmp_path, name):
    assert run("results", name=name) == -signal.SIGKILL
    assert len(temporary_files(tmp_path / "results")) == 1
    assert run("results") == 0
    assert temporary_files(tmp_path / "results") == []
    assert_equal_stores(tmp_path / "results", unbroken)


def test_worker_killed_in_a_write_leaves_nothing(run, unbroken, tmp_path):
    assert run("results", workers=1, name="last.safetensors") == 0
    assert (tmp_path / "site-last.safetensors" / "killed").exists()
    assert temporary_files(tmp_path / "results") == []
    assert_equal_stores(tmp_path / "results", unbroken)


def test_killed_run_leaves_no_file_in_the_cache(run, tmp_path, monkeypatch):
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))
    assert run("results", name="extracted.safetensors") == -signal.SIGKILL
    assert len(temporary_files(tmp_path / "cache")) == 1
    assert run("results") == 0
    assert temporary_files(tmp_path / "cache") == []
