"""The page of the gates follows from its tables, and its faults can still be planted."""

from pathlib import Path

import gate_page
import pandas as pd
import pytest
from gate_faults import PERFORMANCE, QUALITY, all_faults
from gate_measurements import PUBLISHED

ROOT = Path(__file__).parents[2]
TABLES = ("trials", "live", "alarms", "faults", "rounds", "slow", "power")


@pytest.fixture(scope="module")
def tables():
    return {name: pd.read_csv(PUBLISHED / f"{name}.csv") for name in TABLES}


def test_page_equals_its_tables(tables):
    page = (PUBLISHED / "README.md").read_text(encoding="utf-8")
    assert page == gate_page.render_page(tables)


@pytest.mark.parametrize("name", [fault.name for fault in all_faults()])
def test_fault_can_be_planted(name):
    (fault,) = (fault for fault in all_faults() if fault.name == name)
    sources = [(ROOT / edit.path).read_text(encoding="utf-8") for edit in fault.edits]
    counts = [text.count(edit.old) for text, edit in zip(sources, fault.edits, strict=True)]
    assert counts == [1] * len(fault.edits)
    assert len(fault.sentence.split()) <= 25


def test_published_faults_are_those_of_the_study(tables):
    assert dict(zip(tables["faults"]["fault"], tables["faults"]["key"], strict=True)) == {
        fault.name: fault.key for fault in QUALITY
    }
    assert dict(zip(tables["slow"]["fault"], tables["slow"]["key"], strict=True)) == {
        fault.name: fault.key for fault in PERFORMANCE
    }


def test_every_fault_of_a_method_is_named(tables):
    assert list(tables["faults"]["fault"][tables["faults"]["named"].isna()]) == []
    assert len(tables["faults"]) >= 20
