"""Bisection of real histories of the sources: canaries, trainings, and counts in fresh processes."""

import shutil
import subprocess
from pathlib import Path

import pytest
from verdict_schema import read_verdict

ROOT = Path(__file__).parents[3]
SUITE = """\
schema = 1
name = "tiny"
data = ["digits"]
metrics = ["fid"]
seeds = 3
points = 1
[[grid]]
variants = ["dcgan(width=16)"]
losses = ["non_saturating"]
plan = { lr = 1e-3, batch = 32 }
[budget.cpu]
images = 8_000
[analysis]
outcome = "fid"
"""
TRAINER = "ganbench/training/trainer.py"
RATE = 'group["lr"] = self.learning_rate(side)'

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def git(place, *words):
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    return subprocess.run(
        ["git", *identity, *words], cwd=place, check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(place, message, path="", old="", new=""):
    if path:
        text = (place / path).read_text()
        assert old in text
        (place / path).write_text(text.replace(old, new, 1))
    git(place, "add", "--all")
    git(place, "commit", "--quiet", "--allow-empty", f"--message={message}")


@pytest.fixture
def history(tmp_path):
    """Five commits: one breaks the import, one stops the training, one copies weights in each step."""
    place = tmp_path / "sources"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "ganbench", place / "ganbench", ignore=ignored)
    git(place, "init", "--quiet", "--initial-branch=main")
    commit(place, "Begin")
    commit(place, "Comment", TRAINER, "class Trainer:", "# The trainer.\nclass Trainer:")
    commit(place, "Break", TRAINER, "import math\n", "import math\nimport no_such_module\n")
    commit(place, "Mend", TRAINER, "import no_such_module\n", "")
    commit(place, "Stop training", TRAINER, RATE, 'group["lr"] = 0.0')
    commit(
        place,
        "Copy weights",
        TRAINER,
        "self.trick.transform_gradients(side, self.sides[side])",
        "[p.detach().clone() for p in self.sides[side]]\n"
        "        self.trick.transform_gradients(side, self.sides[side])",
    )
    (place / "tiny.toml").write_text(SUITE)
    return place


def answer_of(ganbench, *options):
    code, output, errors = ganbench(
        "bisect", "--good", "HEAD~5", "--device", "cpu", "--json", *options
    )
    assert output, errors
    return code, read_verdict(output)


def test_canary_names_the_culprit_among_broken_commits(history, ganbench, monkeypatch):
    monkeypatch.chdir(history)
    code, answer = answer_of(ganbench, "--suite", "tiny.toml")
    assert (code, answer["evidence"]) == (0, "canary")
    assert answer["culprit"]["subject"] == "Stop training"
    assert any("at step 1" in line for line in answer["sentences"])


def test_trainings_name_the_culprit(history, ganbench, monkeypatch):
    monkeypatch.chdir(history)
    code, answer = answer_of(
        ganbench, "--suite", "tiny.toml", "--evidence", "noisy", "--bad", "HEAD~1"
    )
    assert (code, answer["evidence"]) == (0, "noise")
    assert answer["culprit"]["subject"] == "Stop training"
    seeds = [m["number"] for m in answer["measurements"] if m["kind"] == "value"]
    assert seeds == list(range(len(seeds)))


def test_counts_name_the_culprit(history, ganbench, monkeypatch):
    monkeypatch.chdir(history)
    code, answer = answer_of(ganbench, "--benchmark", "step[gan]")
    assert (code, answer["evidence"]) == (0, "count")
    assert answer["culprit"]["subject"] == "Copy weights"
    assert any("operators[step gan(" in line for line in answer["sentences"])
