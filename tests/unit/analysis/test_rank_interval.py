"""Rank intervals: a closed form, scipy's Welch test, and coverage in simulations."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from synthetic_rows import arms, frame, row

from ganbench.analysis.contrasts import holm_correct
from ganbench.analysis.leaderboard import leaderboard
from ganbench.analysis.rank_interval import (
    format_rank_interval,
    intervals_of_pairs,
    separable_pairs,
)


def rank_intervals(values, lower):
    return intervals_of_pairs(values, separable_pairs(values), lower)


def intervals_by_scipy(values):
    """Computes the same intervals arm by arm: the tests of both arms must decide."""
    decided = [decided_by_scipy(values, n) for n in range(len(values))]
    intervals = []
    for n, own in enumerate(values):
        pairs = [m for m in decided[n] if n in decided[m]]
        better = sum(np.mean(values[m]) < np.mean(own) for m in pairs)
        intervals.append((1 + better, len(values) - len(pairs) + better))
    return intervals


def decided_by_scipy(values, n):
    """Returns the arms that the corrected tests of one arm separate from it."""
    others = [m for m in range(len(values)) if m != n]
    tests = [stats.ttest_ind(values[n], values[m], equal_var=False).pvalue for m in others]
    return {m for m, p in zip(others, holm_correct(tests), strict=True) if p < 0.05}


def test_rank_intervals_equal_scipy():
    rng = np.random.default_rng(0)
    values = [
        rng.normal(mean, 0.3, size=size).tolist()
        for mean, size in zip(rng.normal(0, 2, 12), [3, 5, 8] * 4, strict=True)
    ]
    assert rank_intervals(values, lower=True) == intervals_by_scipy(values)
    mirrored = rank_intervals([[-v for v in own] for own in values], lower=False)
    assert mirrored == rank_intervals(values, lower=True)


@pytest.mark.parametrize(("seeds", "spread"), [(3, 0.0), (3, 1.0), (5, 3.0)])
def test_rank_intervals_cover_true_ranks(seeds, spread):
    """Means lie evenly or are all equal; standard deviations differ by a factor of ten."""
    rng, size, runs = np.random.default_rng(seeds), 12, 300
    means, deviations = spread * np.arange(size), np.geomspace(0.2, 2, size)
    covered = np.zeros(size)
    for _ in range(runs):
        values = rng.normal(means, deviations, size=(seeds, size)).T.tolist()
        for n, (low, high) in enumerate(rank_intervals(values, lower=True)):
            best, worst = 1 + (means < means[n]).sum(), size - (means > means[n]).sum()
            covered[n] += low <= best and worst <= high
    assert (covered / runs).min() > 0.95 - 3 * np.sqrt(0.05 * 0.95 / runs)
    assert covered.mean() / runs > 0.95


def test_the_chosen_first_arm_is_separated_too_often_as_documented():
    """The tests of one arm hold 5 %, but not those of the arm that looks best."""
    rng, tables = np.random.default_rng(0), 200
    drawn = (rng.normal(size=(30, 10)) for _ in range(tables))
    shown = [separable_pairs(arms[np.argsort(arms.mean(axis=1))].tolist())[0] for arms in drawn]
    assert 0.1 < np.mean([decided.any() for decided in shown]) < 0.3


def test_separated_arms_have_single_ranks():
    rng = np.random.default_rng(1)
    values = [rng.normal(mean, 0.01, 5).tolist() for mean in (3, 1, 2)]
    assert rank_intervals(values, lower=True) == [(3, 3), (1, 1), (2, 2)]


def test_single_seeds_have_no_rank_interval():
    assert rank_intervals([[1.0], [2.0, 2.1], [9.0, 9.1]], lower=True)[0] is None
    assert rank_intervals([[1.0, 1.0], [2.0, 2.0]], lower=True) == [(1, 2), (1, 2)]


def test_leaderboard_has_rank_intervals():
    board = leaderboard(
        frame(*arms({"good": 0.1, "bad": 5.0}, seeds=6), row("once", value=1.0, plan="cell=0"))
    )
    ranked = board.set_index("tricks")
    texts = [format_rank_interval(r["rank low"], r["rank high"]) for _, r in ranked.iterrows()]
    assert dict(zip(ranked.index, texts, strict=True)) == {
        "good": "1–2", "none": "2–3", "bad": "3–4", "once": ""}  # fmt: skip
    assert board["rank low"].dtype == pd.Int64Dtype()
