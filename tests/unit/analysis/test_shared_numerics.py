"""Numerics of a whole run are a condition of it; those that vary name its cells."""

import pytest
from synthetic_rows import arms, frame

from ganbench.analysis.changed_conditions import list_condition_differences
from ganbench.analysis.compare import compare_runs
from ganbench.analysis.shared_numerics import PLAIN_NUMERICS, shared_numerics, split_label
from ganbench.analysis.verdicts import ComparisonVerdict


@pytest.mark.parametrize(
    ("label", "parts"),
    [
        ("", ("", "")),
        ("lr=0.001", ("lr=0.001", "")),
        ("graph=true", ("", "graph=true")),
        (
            "betas=(0.0, 0.9), dtype=bfloat16, tf32=true",
            ("betas=(0.0, 0.9)", "dtype=bfloat16, tf32=true"),
        ),
    ],
)
def test_label_is_split_into_hyperparameters_and_numerics(label, parts):
    assert split_label(label) == parts


def rows_with(plan: str) -> list[dict]:
    """Returns rows of two arms with this label of hyperparameters and numerics."""
    return [{**row, "plan": plan} for row in arms({"a": 0.8})]


def test_runs_of_other_numerics_have_the_same_cells():
    plain = frame(*rows_with("lr=0.001"))
    graphs = frame(*rows_with("lr=0.001, graph=true"))
    verdicts = {cell.verdict for cell in compare_runs(plain, graphs)}
    assert verdicts == {ComparisonVerdict.IDENTICAL}
    assert "numerics: plain float32 before, graph=true after" in list_condition_differences(
        plain, graphs
    )


def test_numerics_that_vary_name_the_cells():
    both = frame(*rows_with(""), *rows_with("dtype=bfloat16"))
    assert shared_numerics(both) == PLAIN_NUMERICS
    plain = frame(*rows_with(""))
    verdicts = [cell.verdict for cell in compare_runs(plain, both)]
    assert verdicts.count(ComparisonVerdict.IDENTICAL) == 2
    assert verdicts.count(ComparisonVerdict.NEW) == 2
