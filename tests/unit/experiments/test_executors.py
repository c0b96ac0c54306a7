"""Executors: labels, errors, and values that do not depend on the executor."""

import json

import pandas as pd
import pytest

from ganbench.experiments.executors import EXECUTORS, executor_label
from ganbench.experiments.executors.base import Executor
from ganbench.experiments.executors.local import Local
from ganbench.registry import SpecError

pytestmark = pytest.mark.heavy

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
def test_executor_has_one_label(text, workers, label):
    assert executor_label(text, workers) == label


def test_label_makes_its_executor():
    assert EXECUTORS.make("local(workers=2)") == Local(2)
    assert all(isinstance(EXECUTORS.make(name), Executor) for name in EXECUTORS.modules())


def test_typo_has_a_suggestion():
    with pytest.raises(SpecError, match="local"):
        executor_label("locl", 2)


@pytest.fixture
def suite_file(tmp_path):
    (tmp_path / "small.toml").write_text(SUITE)
    return str(tmp_path / "small.toml")


@pytest.mark.parametrize(
    "text", ["locl", "local(worker=2)", "local(workers=0)", "inline(workers=2)"]
)
def test_invalid_executor_exits_2_with_message(ganbench, suite_file, text):
    code, output, errors = ganbench("run", suite_file, "--device", "cpu", "--executor", text)
    assert (code, output) == (2, "")
    assert "workers" in errors or "did you mean" in errors
    assert "Traceback" not in errors


def test_values_do_not_depend_on_executor(ganbench, suite_file, tmp_path):
    values = {}
    for text in ("inline", "local(workers=2)"):
        folder = tmp_path / text
        options = ["--device", "cpu", "--results", str(folder), "--executor", text, "--json"]
        code, output, errors = ganbench("run", suite_file, *options)
        assert code == 0, errors
        assert json.loads(output)["outcomes"] == {"done": 4}
        frame = pd.read_parquet(folder / "small" / "results.parquet").query("metric == 'fid'")
        values[text] = frame.sort_values(["trial", "checkpoint"])["value"].tolist()
    assert values["inline"] == values["local(workers=2)"]
    assert len(values["inline"]) > 3
