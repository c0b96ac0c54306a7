"""The command `new` writes parts, suites and tests that work as they are."""

import subprocess
import sys
from pathlib import Path

import pytest

from ganbench.experiments.cells import expand_cells
from ganbench.experiments.suite_loader import load_suite
from ganbench.local_files import forget_local_files, version_of

CELLS = {"trick": 4, "loss": 4, "network": 4, "metric": 6, "suite": 6}  # of two networks


@pytest.fixture(autouse=True)
def no_trust_left():
    yield
    forget_local_files()


@pytest.mark.parametrize("kind", CELLS)
def test_new_suite_is_valid(ganbench, kind):
    code, out, _ = ganbench("new", kind, "MyBlur2")
    suite = load_suite(Path("my_blur2.toml"), trust=True)
    assert code == 0
    assert suite.name == "my_blur2"
    assert len(expand_cells(suite)[0]) == CELLS[kind]
    assert out.startswith("wrote my_blur2")
    assert "  python -m pytest test_my_blur2.py\n" in out


@pytest.mark.parametrize(
    "kind",
    [
        "metric",
        pytest.param("trick", marks=pytest.mark.slow),
        pytest.param("loss", marks=pytest.mark.slow),
        pytest.param("network", marks=pytest.mark.slow),
        pytest.param("suite", marks=pytest.mark.slow),
    ],
)
def test_new_test_passes(ganbench, kind, tmp_path):
    ganbench("new", kind, "my_idea", "--folder", "mine")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "mine/test_my_idea.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", ["trick", "loss", "network", "metric"])
def test_new_parts_keep_their_contracts(ganbench, kind):
    ganbench("new", kind, "my_idea")
    code, out, _ = ganbench("check", "my_idea.py", "--trust")
    assert (code, "0 faults" in out) == (0, True)


def test_no_file_is_overwritten(ganbench):
    Path("blur.toml").write_text("mine")
    code, _, err = ganbench("new", "trick", "blur")
    assert (code, err) == (2, "there is already blur.toml: choose another name\n")
    assert not Path("blur.py").exists()
    assert Path("blur.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("kind", "name", "sentence"),
    [
        ("tricks", "blur", "there is no kind 'tricks'; did you mean 'trick'?"),
        (
            "house",
            "blur",
            "there is no kind 'house'; there are loss, metric, network, suite, trick",
        ),
        ("trick", "random", "random.py would hide Python's module random"),
        ("trick", "class", "class.py would hide Python's module class"),
        ("metric", "torch", "torch.py would hide Python's module torch"),
        ("suite", "bench", "bench is a suite of ganbench"),
        ("loss", "3d", "'3d' is no name of a part"),
        ("loss", "a/b", "'a/b' is no name of a part"),
    ],
)
def test_bad_name_is_refused(ganbench, kind, name, sentence, tmp_path):
    code, _, err = ganbench("new", kind, name)
    assert code == 2
    assert err.startswith(sentence)
    assert not list(tmp_path.iterdir())


def test_version_of_a_file_fits_into_tables():
    assert version_of("f" * 16) < 2**31
