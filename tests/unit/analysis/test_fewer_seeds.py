"""Tables of fewer seeds against enumeration and the normal distribution."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from synthetic_rows import frame, row

from ganbench.analysis.fewer_seeds import compare_draws, tables_of_fewer_seeds

ARMS = ("none", "a", "b")


def make_frame(values, **names):
    """Rows of the arms with these outcomes [seeds, arms]."""
    rows = [
        row(tricks, seed, None if math.isnan(value) else value, **names)
        for seed, line in enumerate(values)
        for tricks, value in zip(ARMS, line, strict=False)
    ]
    return frame(*rows, outcome=names.get("metric", "fid"))


def enumerate_draws(values, seeds):
    """The answers over all draws of a number of seeds, one by one."""
    true, same, losses, wrong = values.mean(0), [], [], []
    for chosen in combinations(range(len(values)), seeds):
        means = values[list(chosen)].mean(0)
        named = int(means.argmin())
        same.append(named == true.argmin())
        losses.append(true[named] - true.min())
        wrong += [
            np.sign(means[i] - means[j]) == -np.sign(true[i] - true[j])
            for i, j in combinations(range(len(true)), 2)
        ]
    return np.mean(same), np.mean(losses), np.mean(wrong)


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_draws_agree_with_their_enumeration(seeds):
    values = np.random.default_rng(0).normal([0, 0.3, 0.5], 1, (12, 3))
    found = compare_draws(values, seeds, np.random.default_rng(1), draws=20_000)
    assert found == pytest.approx(enumerate_draws(values, seeds), abs=0.015)


@pytest.mark.parametrize("seeds", [1, 5, 20])
def test_normal_arms_change_order_as_often_as_theory_says(seeds):
    values = np.random.default_rng(2).normal([0, 0.2], 0.5, (4_000, 2))
    gap = float(np.diff(values.mean(0))[0])
    same, loss, wrong = compare_draws(values, seeds, np.random.default_rng(3), draws=10_000)
    expected = stats.norm.cdf(-gap * math.sqrt(seeds / 2) / 0.5)
    assert wrong == pytest.approx(expected, abs=0.015)
    assert same == pytest.approx(1 - wrong)
    assert loss == pytest.approx(gap * wrong)


def test_table_has_a_row_per_cell_and_number_of_seeds():
    values = np.exp(np.random.default_rng(4).normal([0, -0.2, 0.5], 0.3, (20, 3)))
    table = tables_of_fewer_seeds(make_frame(values))
    assert table["seeds"].tolist() == [1, 2, 3, 5]
    assert (table["arms"].unique().tolist(), table["best"].unique().tolist()) == ([3], ["a"])
    assert table["names_best"].is_monotonic_increasing
    assert (table["ratio"] >= 1).all()
    same, loss, wrong = enumerate_draws(np.log(values), 2)
    second = table.set_index("seeds").loc[2]
    assert (second["names_best"], second["wrong_order"]) == pytest.approx((same, wrong), abs=0.015)
    assert second["ratio"] == pytest.approx(math.exp(loss), abs=0.01)


def test_best_is_highest_where_higher_is_better():
    values = np.exp(np.random.default_rng(5).normal([0, 1], 0.4, (8, 2)))
    table = tables_of_fewer_seeds(make_frame(values, metric="is"))
    assert table["best"].tolist() == ["a", "a"]
    assert (table["ratio"] <= 1).all()


def test_seeds_without_a_value_are_left_out():
    values = np.exp(np.random.default_rng(6).normal([0, 0.1], 0.3, (10, 2)))
    holed = values.copy()
    holed[8, 0] = holed[9, 1] = math.nan
    assert tables_of_fewer_seeds(make_frame(holed)).equals(
        tables_of_fewer_seeds(make_frame(values[:8]))
    )


@pytest.mark.parametrize("shape", [(3, 2), (20, 1)])
def test_few_seeds_or_a_single_arm_have_no_table(shape):
    values = np.exp(np.random.default_rng(7).normal(0, 1, shape))
    assert tables_of_fewer_seeds(make_frame(values)).empty


def test_cell_without_a_complete_seed_has_no_table():
    values = np.full((8, 2), math.nan)
    values[:4, 0] = values[4:, 1] = 1.0
    assert tables_of_fewer_seeds(make_frame(values)).empty
