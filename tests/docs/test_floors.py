"""The worked example: docs/metrics.md shows the committed floors of Fashion-MNIST."""

import json
import re
from pathlib import Path

import pytest
from helpers import CPU

from ganbench.data.base import NotDownloaded
from ganbench.evaluation.evaluator import Evaluator
from ganbench.evaluation.metrics import METRICS
from ganbench.report.floor_table import measure_floor_rows
from ganbench.report.format_number import format_number

ROOT = Path(__file__).parents[2]
PUBLISHED = json.loads((ROOT / "results/published/floors/fashion_mnist.json").read_text())


def shown(row):
    values = (row["value"], row["standard_error"], row["expected"])
    return [row["metric"], *("" if value is None else format_number(value) for value in values)]


def test_the_page_shows_the_committed_floors():
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    table = re.search(r"\| metric \| held-out data .*?\n\n", text, re.DOTALL)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table[0].splitlines()[2:]]
    known = [row for row in PUBLISHED["floors"] if row["value"] is not None]
    assert [row for row in rows if row] == [shown(row) for row in known]
    assert {row["metric"] for row in PUBLISHED["floors"]} <= set(METRICS)


@pytest.mark.slow
def test_the_committed_floors_are_measured_again():
    evaluator = Evaluator("fashion_mnist", CPU)
    try:
        protocol = evaluator.protocol
    except NotDownloaded:
        pytest.skip("Fashion-MNIST is not on this machine")
    assert protocol.id == PUBLISHED["protocol"]["id"]
    committed = tuple(row["metric"] for row in PUBLISHED["floors"])
    again = {row["metric"]: row for row in measure_floor_rows(evaluator, committed)}
    for row in PUBLISHED["floors"]:
        for key in ("value", "standard_error", "expected"):
            expected = row[key] if row[key] is None else pytest.approx(row[key], rel=1e-4, abs=1e-4)
            assert again[row["metric"]][key] == expected, (row["metric"], key)
