"""Lasting effects: closed forms, simulated truths with noise in common, and rows of curves."""

import math

import numpy as np
import pytest
from scipy import stats
from synthetic_rows import frame, row

from ganbench.analysis.lasting import correlate_same_trainings, lasting_effects
from ganbench.analysis.transfer import correlate_effects

TRICKS, SEEDS = 12, 3


def simulate_points(rng, correlation, noise=0.7, common=0.8):
    """Draws two tables [seeds, effects] of the same trainings, whose errors are correlated too."""
    truth = rng.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], TRICKS).T
    shared = rng.normal(size=(1, SEEDS, TRICKS))
    own = rng.normal(size=(2, SEEDS, TRICKS))
    errors = noise * (math.sqrt(common) * shared + math.sqrt(1 - common) * own)
    return truth[:, None] + errors


def test_effects_without_noise_have_the_correlation_of_scipy():
    sides = np.random.default_rng(0).normal(size=(2, 9))
    tables = [np.tile(side, (SEEDS, 1)) for side in sides]
    found = correlate_same_trainings(*tables)
    assert found.correlation == pytest.approx(stats.pearsonr(*sides).statistic)
    of_two_runs = correlate_effects(*tables)
    assert (found.low, found.high) == pytest.approx((of_two_runs.low, of_two_runs.high))


@pytest.mark.parametrize("correlation", [0, 0.5, 0.9])
def test_interval_covers_the_true_correlation(correlation):
    """Errors in common would raise the correlation of the estimates, and must not raise this one."""
    rng = np.random.default_rng(2)
    drawn = [simulate_points(rng, correlation) for _ in range(1_000)]
    found = [correlate_same_trainings(*sides) for sides in drawn]
    covered = np.mean([one.low <= correlation <= one.high for one in found])
    assert covered >= 0.93
    assert np.mean([one.high - one.low for one in found]) < 1.5
    assert np.nanmedian([one.correlation for one in found]) == pytest.approx(correlation, abs=0.06)
    naive = [np.corrcoef(*(side.mean(0) for side in sides))[0, 1] for sides in drawn]
    if not correlation:
        assert np.median(naive) > 0.08


EARLY = {"ema": 0.5, "r1": 0.7, "pacgan": 1.4, "ttur": 1.1, "top_k": 0.8}
LATE = {"ema": 0.3, "r1": 1.5, "pacgan": 1.8, "ttur": 1.2, "top_k": 0.7}


def curve(tricks, seed, ratios, rng):
    """Makes a training and its curve of two points."""
    rows = [row(tricks, seed, 1.0)]
    for step, ratio in enumerate(ratios, 1):
        point = dict(kind="curve", checkpoint=None, step=step, images=100 * step)
        rows.append(row(tricks, seed, 10 * ratio * math.exp(0.01 * rng.normal()), **point))
    return rows


def rows_of_curves(early, late):
    rng = np.random.default_rng(3)
    ratios = {"none": (1.0, 1.0), **{name: (early[name], late[name]) for name in early}}
    return [
        each
        for name, own in ratios.items()
        for seed in range(SEEDS)
        for each in curve(name, seed, own, rng)
    ]


def test_table_of_curves():
    table = lasting_effects(frame(*rows_of_curves(EARLY, LATE)))
    (entry,) = table.to_dict("records")
    expected = np.corrcoef(*(np.log(list(side.values())) for side in (EARLY, LATE)))[0, 1]
    assert (entry["data"], entry["metric"], entry["after"], entry["effects"]) == (
        "digits",
        "fid",
        0.5,
        5,
    )
    assert entry["correlation"] == pytest.approx(expected, abs=0.03)
    assert entry["turned"] == 0.2  # R1 lowers FID early, and raises it at the end


def test_few_effects_have_no_table():
    few = {name: EARLY[name] for name in list(EARLY)[:4]}
    assert lasting_effects(frame(*rows_of_curves(few, LATE))).empty


def test_run_without_curves_has_no_table():
    assert lasting_effects(frame(*(row(seed=seed, value=1.0) for seed in range(3)))).empty
