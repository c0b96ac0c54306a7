"""Looks at growing data: shares of the error, published bounds, and simulated grids."""

import adaptive_seeds
import numpy as np
import pandas as pd
import pytest
from adaptive_seeds import ERROR, PUBLISHED, Scenario, decide_adaptively, decide_at_once
from scipy import stats

from ganbench.analysis.rates import wilson_interval
from ganbench.analysis.sequential import LookRule, open_ended_share, spending_shares

ROUNDS = (3, 5, 8, 12)
POCOCK = 2.413  # five looks, two-sided 5 %: Jennison and Turnbull (2000), table 2.1
OBRIEN_FLEMING = 2.040  # the same, table 2.3
GRID = np.linspace(-9, 9, 1201)


def crossing_probability(bounds, fractions):
    """Integrates the chance that a Brownian motion leaves the bounds at some look."""
    density, old, before, inside = None, None, 0.0, 1.0
    for bound, share in zip(bounds, fractions, strict=True):
        points = GRID / 9 * bound * np.sqrt(share)  # scores inside the bound
        if density is None:
            now = stats.norm.pdf(points, scale=np.sqrt(share))
        else:
            step = stats.norm.pdf(points[:, None] - old[None], scale=np.sqrt(share - before))
            now = np.trapezoid(step * density, old, axis=1)
        density, old, before = now, points, share
        inside = np.trapezoid(density, points)
    return 1 - inside


# Shares of the error


def test_shares_of_open_looks_sum_to_one():
    assert sum(map(open_ended_share, range(1, 10_000))) == pytest.approx(1, abs=2e-4)


@pytest.mark.parametrize("counts", [(3, 5, 8, 12), (2, 4), (5,), (3, 6, 12, 24)])
def test_shares_of_looks_sum_to_one(counts):
    shares = spending_shares(counts)
    assert sum(shares) == pytest.approx(1)
    assert min(shares) > 0


def test_integration_reproduces_published_bounds():
    looks = np.arange(1, 6)
    assert crossing_probability(np.full(5, POCOCK), looks / 5) == pytest.approx(0.05, abs=2e-4)
    bounds = OBRIEN_FLEMING * np.sqrt(5 / looks)
    assert crossing_probability(bounds, looks / 5) == pytest.approx(0.05, abs=2e-4)


def test_bounds_keep_the_error_with_many_seeds():
    """The sum of the shares is a bound: correlated looks use two thirds of it."""
    looks = np.arange(1, 6)
    levels = ERROR * np.array(spending_shares(looks))
    spent = crossing_probability(stats.norm.isf(levels / 2), looks / 5)
    assert 0.03 < spent < 0.05


def test_last_bound_is_between_the_published_ones():
    """The last level is that of O'Brien and Fleming or less, and that of Pocock or more."""
    last = stats.norm.isf(ERROR * spending_shares(range(1, 6))[-1] / 2)
    assert OBRIEN_FLEMING < last < POCOCK


# Decisions


def test_interval_is_students_with_the_level_of_the_look():
    rule = LookRule(ROUNDS, 0.05, 4, 0.02)
    level = 0.05 * (5**2 - 3**2) / 12**2 / 4
    assert rule.level(1) == pytest.approx(level)
    assert rule.half_width(1, 0.5, 7.0) == pytest.approx(0.5 * stats.t.isf(level / 2, 7))


def test_claims_follow_the_interval():
    rule = LookRule(ROUNDS, 0.05, 1, 0.2)
    half = float(rule.half_width(0, 0.01, 2))
    means = np.array([0.0, half * 0.99, half * 1.01, -half * 1.01, np.nan])
    assert rule.are_changed(0, means, 0.01, 2).tolist() == [False, False, True, True, False]
    equal = rule.are_equivalent(0, np.array([0.0, 0.21 - half, np.nan]), 0.01, 2)
    assert equal.tolist() == [True, False, False]


def test_no_margin_means_no_equivalence():
    rule = LookRule(ROUNDS, 0.05, 1, 0.0)
    assert not rule.are_equivalent(3, 0.0, 1e-9, 11)


def test_chance_of_a_decision_agrees_with_continued_seeds():
    """Draws the mean and the further seeds that one look leaves possible."""
    rule, rng = LookRule(ROUNDS, 0.05, 3, 0.0), np.random.default_rng(0)
    mean, error, cells = 0.06, 0.03, 40  # so many that the error is known
    freedom = cells * 7.0
    true = mean + error * rng.normal(size=200_000)
    sigma = error * np.sqrt(8)
    later = true + sigma / np.sqrt(4) * rng.normal(size=true.size)
    final = (8 * mean + 4 * later) / 12
    decided = np.abs(final) > rule.half_width(3, sigma / np.sqrt(12), cells * 11.0)
    assert rule.chance_of_decision(2, mean, error, freedom) == pytest.approx(
        decided.mean(), abs=0.01
    )


def test_every_estimate_is_decided_where_changes_and_equivalence_meet():
    rule = LookRule(ROUNDS, 0.05, 1, 0.05)
    assert rule.chance_of_decision(2, 0.005, 0.003, 14) == 1


# Simulated grids


@pytest.mark.parametrize("cells", [1, 4])
def test_family_error_is_kept_at_all_looks(cells):
    scenario = Scenario("none", (1.0,) * 4, cells)
    values = scenario.draw(2000, ROUNDS[-1], np.random.default_rng(cells))
    answers = decide_adaptively(values, ROUNDS, 0.0)
    low, _ = wilson_interval(int(answers.are_false(scenario.effects).sum()), 2000)
    assert low < ERROR
    repeated = adaptive_seeds.repeat_tests(values, scenario.effects)
    assert repeated.mean() > 1.5 * ERROR  # so the test can fail


def test_large_effects_end_early_and_no_effect_is_given_up():
    scenario = Scenario("mixed", (0.3, 1.0), 4)
    values = scenario.draw(500, ROUNDS[-1], np.random.default_rng(0))
    answers = decide_adaptively(values, ROUNDS, 0.1)
    assert (answers.signs[:, 0] == -1).all()
    assert answers.seeds[:, 0].mean() < 3.5
    assert 4 < answers.seeds[:, 1].mean() < 9
    kept = decide_adaptively(values, ROUNDS, 0.0)
    assert (kept.seeds[:, 1] == 12).mean() > 0.95


def test_seeds_are_saved_against_a_fixed_number_of_equal_power():
    scenario = Scenario("mixed", (0.5, 0.8, 0.9, 0.95, 1.0, 1.0), 9)
    values = scenario.draw(500, 20, np.random.default_rng(0))
    row = adaptive_seeds.study_row(scenario, 500, np.random.default_rng(0))
    fixed = decide_at_once(values, row["fixed seeds of equal power"])
    assert adaptive_seeds.power_of(fixed, scenario.effects) > row["power"] - 0.02
    assert row["saved"] > 0.25


def test_published_table_keeps_the_error():
    table = pd.read_csv(PUBLISHED / "adaptive.csv")
    assert (table["grids"] >= 1000).all()
    assert (table["low"] < ERROR).all()
    assert table["with a false claim"].max() / table["grids"].min() < ERROR


def test_published_page_equals_the_table():
    table = pd.read_csv(PUBLISHED / "adaptive.csv")
    lines = (PUBLISHED / "README.md").read_text(encoding="utf-8").splitlines()
    for row in table.to_dict("records"):
        assert adaptive_seeds.page_line(row) in lines


def test_intervals_cover_after_the_last_look():
    """Arms that end early share the error equally, effects by the spending function."""
    rng, effects = np.random.default_rng(0), np.log([0.9])
    arms = rng.normal(size=(4000, 2, 1, 12)) * 0.1
    answers = decide_adaptively(arms[:, 1:] - arms[:, :1] + effects, ROUNDS, 0.1)
    assert answers.coverage(effects, answers.shares) > 0.95
    seeds = answers.seeds[:, 0]
    inside = 0
    for count in ROUNDS:
        own = arms[seeds == count, 1, 0, :count]
        error = own.std(1, ddof=1) / np.sqrt(count)
        half = stats.t.isf(0.05 / 4 / 2, count - 1) * error
        inside += int((np.abs(own.mean(1)) <= half).sum())
    assert inside / 4000 > 0.95
