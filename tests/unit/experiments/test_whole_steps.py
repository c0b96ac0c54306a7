"""A budget of images ends with a whole training step, which plans and pages make known."""

import pandas as pd
import pytest

from ganbench.files import read_json

SUITE = """\
schema = 1
name = "tiny"
data = ["ring"]
metrics = ["fid"]
seeds = 1
points = 1
[[grid]]
variants = ["gan(width=8)"]
plan = { discriminator_turns = [1, 5] }
[budget.cpu]
images = 960
"""
# A step shows 64 images for each turn of the discriminator: 64 or 320.


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(SUITE)
    return path


def notes_of_plan(ganbench, path, images):
    words = ("plan", path, "-o", f"budget.cpu.images={images}", "--device", "cpu", "--no-estimate")
    code, out, err = ganbench(*words)
    assert code == 0, err
    return [line for line in out.splitlines() if "whole training step" in line]


def test_budget_of_whole_steps_has_no_note(ganbench, path):
    assert notes_of_plan(ganbench, path, 960) == []


def test_differences_of_one_percent_have_no_note(ganbench, path):
    assert notes_of_plan(ganbench, path, 320 * 100 - 65) == []


def test_uneven_budgets_have_a_note(ganbench, path):
    sentence = "a budget ends with a whole training step, so that arms see 1,024 to 1,280 images"
    assert notes_of_plan(ganbench, path, 1000) == [f"note: {sentence}"]


def test_page_and_tables_have_the_images_that_were_trained(ganbench, path):
    words = ("-o", "budget.cpu.images=1000", "--device", "cpu", "--workers", 0)
    code, out, err = ganbench("run", path, *words)
    assert code == 0, err
    sentence = (
        "1,000 real images shown to the discriminator; whole training steps make it 1,024 to 1,280"
    )
    assert sentence in " ".join(out.split())
    assert "the same for every arm" not in out
    folder = path.parent / "results/tiny"
    assert sentence in (folder / "leaderboard.md").read_text()
    frame = pd.read_parquet(folder / "results.parquet")
    trained = frame["images"][frame["images"] > 0]
    assert set(trained) == {1024, 1280}
    assert read_json(folder / "plan.json")["images"] == [1024, 1280]
