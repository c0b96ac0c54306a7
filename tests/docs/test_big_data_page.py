"""The page on data larger than memory shows its values, and these keep the promises."""

import json
from pathlib import Path

import pytest
from big_data import STEP_SECONDS, render_page

FOLDER = Path(__file__).parents[2] / "results" / "performance"


@pytest.fixture(scope="module")
def found() -> dict:
    return json.loads((FOLDER / "big_data.json").read_text())


def test_page_of_big_data_equals_values(found):
    assert (FOLDER / "big_data.md").read_text() == render_page(found)


def test_memory_is_flat_over_a_million_images(found):
    """The process never holds more than a tenth of the decoded images beside its program."""
    disk = found["memory"]["disk"]
    assert found["images"] == 1_000_000
    own = [anonymous for _, anonymous, _ in disk["curve"]]
    mapped = [pages for _, _, pages in disk["curve"]]
    assert max(own) - min(own) < 50e6
    assert max(mapped) < 500e6
    assert found["memory"]["memory"]["peak"] - disk["peak"] > 2.5e9
    assert disk["checksum"] == found["memory"]["memory"]["checksum"]


def test_loader_keeps_pace_with_a_step(found):
    for name, run in found["pace"].items():
        if isinstance(run, dict):
            assert run["median"] < 0.1 * 1000 * STEP_SECONDS, name


def test_small_sets_are_as_fast_as_before(found):
    runs = {name: run for name, run in found["speed"].items() if isinstance(run, dict)}
    assert len(runs) == 4
    assert all(run["low"] <= 1 for run in runs.values())
