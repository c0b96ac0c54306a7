"""Executors: which one a command runs trials by, and that numbers do not depend on it."""

import json

import pandas as pd
import pytest

from ganbench.experiments.executors import EXECUTORS, executor_label
from ganbench.experiments.executors.base import Executor
from ganbench.experiments.executors.local import Local
from ganbench.registry import SpecError

SUITE = """
schema = 1
name = "small"
data = ["ring"]
metrics = ["fid"]
seeds = 2
[[grid]]
variants = ["gan(width=8)"]
[budget.cpu]
images = 640
"""


@pytest.mark.parametrize(
    ("text", "workers", "label"),
    [
        ("auto", 0, "inline"),
        ("auto", 3, "local(workers=3)"),
        ("inline", 3, "inline"),
        ("local", 0, "local"),
        ("local", 4, "local(workers=4)"),
        ("local(workers=2)", 4, "local(workers=2)"),
        ("local( workers = 2 )", 4, "local(workers=2)"),
    ],
)
def test_an_executor_has_one_label(text, workers, label):
    assert executor_label(text, workers) == label


def test_a_label_makes_what_it_says():
    assert EXECUTORS.make("local(workers=2)") == Local(2)
    assert all(isinstance(EXECUTORS.make(name), Executor) for name in EXECUTORS.modules())


def test_a_typo_is_suggested_for():
    with pytest.raises(SpecError, match="local"):
        executor_label("locl", 2)


@pytest.fixture
def suite(tmp_path):
    (tmp_path / "small.toml").write_text(SUITE)
    return str(tmp_path / "small.toml")


@pytest.mark.parametrize(
    "text", ["locl", "local(worker=2)", "local(workers=0)", "inline(workers=2)"]
)
def test_the_program_ends_with_a_sentence_for_an_executor_that_cannot_be(ganbench, suite, text):
    code, printed, told = ganbench("run", suite, "--device", "cpu", "--executor", text)
    assert (code, printed) == (2, "")
    assert "workers" in told or "did you mean" in told
    assert "Traceback" not in told


def test_numbers_do_not_depend_on_the_executor(ganbench, suite, tmp_path):
    values = {}
    for text in ("inline", "local(workers=2)"):
        folder = tmp_path / text
        words = ["--device", "cpu", "--results", str(folder), "--executor", text, "--json"]
        code, printed, told = ganbench("run", suite, *words)
        assert code == 0, told
        assert json.loads(printed)["outcomes"] == {"done": 4}
        frame = pd.read_parquet(folder / "small" / "results.parquet").query("metric == 'fid'")
        values[text] = frame.sort_values(["trial", "checkpoint"])["value"].tolist()
    assert values["inline"] == values["local(workers=2)"]
    assert len(values["inline"]) > 3
