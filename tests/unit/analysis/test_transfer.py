"""Transfer of effects between data sets: closed forms, simulated truths, and rows."""

import math

import numpy as np
import pytest
from scipy import stats
from synthetic_rows import frame, row

from ganbench.analysis.transfer import (
    correlate_effects,
    effect_reliability,
    effect_transfer,
    jackknife_interval,
)

TRICKS, SEEDS = 12, 3


def simulate_effects(rng, correlation, noise):
    """Draws two tables [seeds, effects] whose true effects have a known correlation.

    The noise of a seed's control is common to all effects of the seed. That of single effects differs.
    """
    truth = rng.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], TRICKS).T
    spread = noise * np.exp(rng.normal(0, 0.5, (2, 1, TRICKS)))
    own = spread * rng.normal(size=(2, SEEDS, TRICKS))
    return truth[:, None] + own + noise * rng.normal(size=(2, SEEDS, 1))


def test_effects_without_noise_have_the_correlation_of_scipy_and_its_jackknife():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 8))
    found = correlate_effects(*(np.tile(side, (SEEDS, 1)) for side in (first, second)))
    expected = stats.pearsonr(first, second).statistic
    places = range(len(first))
    left = [stats.pearsonr(np.delete(first, n), np.delete(second, n)).statistic for n in places]
    low, high = jackknife_interval(expected, np.array(left))
    assert (found.reliability_first, found.reliability_second) == pytest.approx((1, 1))
    assert (found.correlation, found.low, found.high) == pytest.approx((expected, low, high))


def test_interval_covers_where_few_tricks_have_large_effects():
    """Fisher's interval, which needs normal effects, covers 65 % to 70 % here."""
    rng = np.random.default_rng(4)
    covered = []
    for _ in range(400):
        size = np.where(rng.random(TRICKS) < 0.2, 4.0, 0.7)
        sides = size * rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], TRICKS).T
        noise = rng.normal(0, 0.3, (2, SEEDS, TRICKS))
        covered.append(is_covered(0.5, *(sides[:, None] + noise), None))
    assert np.mean(covered) > 0.86


def test_reliability_is_the_share_of_true_differences():
    rng = np.random.default_rng(1)
    truth = rng.normal(size=20_000)
    table = truth + rng.normal(0, 1, (4, 20_000)) + rng.normal(0, 3, (4, 1))
    assert effect_reliability(table) == pytest.approx(1 / (1 + 1 / 4), abs=0.02)


@pytest.mark.parametrize("correlation", [0, 0.5, 0.9])
def test_interval_covers_the_true_correlation(correlation):
    """Also checks that the correction removes what noise takes from the correlation."""
    rng = np.random.default_rng(2)
    found = [
        correlate_effects(*simulate_effects(rng, correlation, noise=0.7)) for _ in range(1_000)
    ]
    covered = np.mean([one.low <= correlation <= one.high for one in found])
    assert 0.93 <= covered <= 0.985
    assert np.nanmedian([one.correlation for one in found]) == pytest.approx(correlation, abs=0.06)
    if correlation:
        assert np.nanmedian([one.uncorrected for one in found]) < correlation - 0.08


def simulate_cells(rng, tricks, cells):
    """Returns effects of tricks in several cells on both sides, and the trick of each effect."""
    shared = rng.multivariate_normal([0, 0], [[0.7, 0.56], [0.56, 0.7]], tricks)
    own = rng.multivariate_normal([0, 0], [[0.3, 0.09], [0.09, 0.3]], tricks * cells)
    truth = np.repeat(shared, cells, axis=0) + own  # a correlation of 0.56 + 0.09
    sides = (truth.T[:, None] + rng.normal(0, 0.5, (2, SEEDS, tricks * cells))).tolist()
    return *map(np.array, sides), [str(place // cells) for place in range(tricks * cells)]


@pytest.mark.parametrize(("tricks", "cells"), [(8, 3), (12, 4)])
def test_interval_takes_a_trick_in_several_cells_once(tricks, cells):
    rng = np.random.default_rng(5)
    drawn = [simulate_cells(rng, tricks, cells) for _ in range(300)]
    covered = {
        repeated: np.mean(
            [is_covered(0.65, a, b, names if repeated else None) for a, b, names in drawn]
        )
        for repeated in (True, False)
    }
    assert covered[True] >= 0.92
    assert covered[False] < covered[True]


def is_covered(correlation, first, second, tricks):
    found = correlate_effects(first, second, tricks)
    return found.low <= correlation <= found.high


def test_jackknife_of_a_mean_is_students_interval():
    """Left-out means have the closed form of the jackknife: its error is that of the mean."""
    values = np.random.default_rng(6).normal(size=9)
    left = (values.sum() - values) / 8
    low, high = jackknife_interval(math.tanh(values.mean()), np.tanh(left))
    expected = stats.t.interval(0.95, 8, values.mean(), stats.sem(values))
    assert (math.atanh(low), math.atanh(high)) == pytest.approx(expected)


def test_effects_of_pure_noise_have_no_correlation():
    table = np.array([[1.0, -1, 2, 0, -2], [-1.0, 1, -2, 0, 2]])
    found = correlate_effects(table, table)
    assert math.isnan(found.correlation)
    assert (found.low, found.high) == (-1, 1)


def test_single_effect_has_no_interval():
    """Without its trick no effect varies, so the jackknife has no value to leave out."""
    noise = np.random.default_rng(7).normal(size=(4, 1))
    table = np.hstack([3 + noise, np.zeros((4, 3))])
    found = correlate_effects(table, table)
    assert (found.low, found.high) == (-1, 1)


def rows_of(data, effects, noise=0.01):
    """Makes rows of a cell with no trick at 10, and of each trick at 10 times its ratio."""
    rng = np.random.default_rng(3)
    ratios = {"none": 1.0, **effects}
    return [
        row(tricks, seed, 10 * ratio * math.exp(noise * rng.normal()), data=data)
        for tricks, ratio in ratios.items()
        for seed in range(SEEDS)
    ]


SMALL = {"ema": 0.5, "r1": 0.7, "pacgan": 1.4, "ttur": 1.0, "top_k": 0.8}
LARGE = {"ema": 0.3, "r1": 1.5, "pacgan": 1.8, "ttur": 1.0, "top_k": 0.7}


def test_repeated_and_reversed_effects_are_counted():
    table = effect_transfer(frame(*rows_of("small", SMALL), *rows_of("large", LARGE)))
    (found,) = table.to_dict("records")
    assert (found["first"], found["second"], found["effects"]) == ("small", "large", 5)
    assert (found["shown"], found["repeated"], found["reversed"]) == (4, 3, "r1")
    expected = np.corrcoef(*([math.log(side[name]) for name in SMALL] for side in (SMALL, LARGE)))
    assert found["correlation"] == pytest.approx(expected[0, 1], abs=0.03)


def test_effects_without_a_value_in_some_seed_are_left_out():
    lost = [*rows_of("small", SMALL), *rows_of("large", LARGE | {"dragan": 2})]
    lost = [r for r in lost if (r["data"], r["tricks"], r["seed"]) != ("large", "ema", 1)]
    assert effect_transfer(frame(*lost)).empty
    six = [*rows_of("small", SMALL | {"dragan": 1}), *(r for r in lost if r["data"] == "large")]
    assert effect_transfer(frame(*six))["effects"].tolist() == [5]


def test_effects_that_ended_early_keep_their_seeds():
    rows = [*rows_of("small", SMALL), *rows_of("large", LARGE)]
    more = [{**r, "seed": r["seed"] + SEEDS} for r in rows if r["tricks"] in ("none", "ema")]
    table = effect_transfer(frame(*rows, *more))
    assert table["effects"].tolist() == [5]
    assert table["correlation"].tolist() == effect_transfer(frame(*rows))["correlation"].tolist()


def test_lost_training_without_tricks_costs_one_seed():
    rows = [*rows_of("small", SMALL), *rows_of("large", LARGE)]
    rows += [{**r, "variant": "wgan"} for r in rows]
    lost = ("small", "wgan", "none", 1)
    rows = [r for r in rows if (r["data"], r["variant"], r["tricks"], r["seed"]) != lost]
    assert effect_transfer(frame(*rows))["effects"].tolist() == [10]


@pytest.mark.parametrize("data", [("small",), ("small", "large")])
def test_few_effects_have_no_transfer(data):
    few = {name: SMALL[name] for name in ("ema", "r1", "ttur")}
    assert effect_transfer(frame(*(r for name in data for r in rows_of(name, few)))).empty
