"""Suites by name, with their trials counted without importing torch."""

from dataclasses import asdict
from pathlib import Path

import pytest

from ganbench.devices import Numerics
from ganbench.experiments.cells import expand_cells
from ganbench.experiments.numerics_axes import NumericsAxes
from ganbench.experiments.suite_files import (
    CLONED,
    NEUTRAL_NUMERICS,
    count_trials,
    describe_suite,
    find_suite_file,
    first_sentence,
    format_trials,
    list_suites,
)
from ganbench.experiments.suite_loader import load_suite, parse_toml


@pytest.mark.parametrize("name", ["bench", "smoke", "modes", "settings", "stylegan_32"])
def test_trials_are_cells_times_seeds(name):
    path = CLONED / f"{name}.toml"
    suite = load_suite(path)
    cells = sum(map(len, expand_cells(suite)))
    expected = {budget: cells * len(suite.seeds_of(budget)) for budget in suite.budget}
    assert count_trials(parse_toml(path.read_text())) == expected


@pytest.mark.parametrize(
    "numerics",
    [
        '[numerics]\ndtype = ["float32", "bfloat16"]',
        '[numerics]\ndtype = ["float32", "bfloat16"]\ntf32 = [false, true]',
        '[numerics]\ndtype = "bfloat16"\n[grid.numerics]\ngpus = [1, 2]\ngraph = false',
        '[grid.numerics]\nmemory_format = ["contiguous", "channels_last"]',
    ],
)
def test_numerics_are_an_axis(tmp_path, numerics):
    place, keys = numerics.partition("[grid.numerics]")[::2]
    path = tmp_path / "numerics.toml"
    path.write_text(
        'schema = 1\nname = "numerics"\ndata = ["digits"]\nmetrics = ["fid"]\nseeds = 2\n'
        f'[budget.cpu]\nimages = 640\n{place}\n[[grid]]\nvariants = ["gan"]\n'
        f"{'[grid.numerics]' if keys else ''}{keys}\n"
    )
    cells, _ = expand_cells(load_suite(path))
    assert count_trials(parse_toml(path.read_text())) == {"cpu": 2 * len(cells)}


def test_neutral_numerics_are_those_of_trainings():
    neutral = asdict(Numerics())
    assert {key: neutral[key] for key in NEUTRAL_NUMERICS} == NEUTRAL_NUMERICS
    assert set(NEUTRAL_NUMERICS) == set(NumericsAxes.model_fields)


def test_every_shipped_suite_is_listed():
    entries = {entry["spec"]: entry for entry in list_suites()}
    assert set(entries) >= {path.stem for path in CLONED.glob("*.toml")}
    assert entries["bench"]["about"].endswith("digits. 93 trials, budgets cpu, gpu.")


def test_own_suites_come_before_shipped_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "bench.toml").touch()
    assert find_suite_file("bench") == Path("suites/bench.toml")
    assert find_suite_file("smoke") == CLONED / "smoke.toml"


@pytest.mark.parametrize("text", ["name = 3 4", "", "grid = 5", "[budget.cpu]\n[[grid]]\nplan = 1"])
def test_broken_suite_is_listed_with_its_reason(tmp_path, text):
    path = tmp_path / "broken.toml"
    path.write_text(text)
    assert describe_suite("broken", path)["about"].startswith(f"{path} cannot be read: ")


def test_huge_design_is_not_expanded(tmp_path):
    path = tmp_path / "huge.toml"
    tricks = [f"t{number}" for number in range(60)]
    path.write_text(
        f'data = ["digits"]\n[budget.cpu]\n[[grid]]\nvariants = ["gan"]\n'
        f'[grid.tricks]\ndesign = "full_factorial"\nof = {tricks}\n'
    )
    assert "and a suite may have" in describe_suite("huge", path)["about"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("One thing. Another.", "One thing."),
        ("Does it learn? For a GPU.", "Does it learn?"),
        ("On 8x8 digits of v1.5 data", "On 8x8 digits of v1.5 data."),
        ("", ""),
    ],
)
def test_first_sentence_ends_with_its_mark(text, sentence):
    assert first_sentence(text) == sentence


def test_equal_counts_share_their_budgets():
    assert format_trials({"cpu": 1, "gpu": 2, "tpu": 1}) == (
        "1 trial, budgets cpu, tpu; 2 trials, budget gpu."
    )
