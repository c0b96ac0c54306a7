"""Profiles, probability of improvement, interquartile means, targets and the front."""

import math
import time

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from scipy import stats
from synthetic_rows import FACTS, arms, floor, frame, row

from ganbench.analysis.front import cost_front
from ganbench.analysis.intervals import SCALES
from ganbench.analysis.profiles import (
    ComparedArms,
    baseline_row_of_cell,
    best_row_of_cell,
    bootstrap_weights,
    improvement_probabilities,
    interquartile_gain_entry,
    interquartile_gains,
    make_compared_arms,
    performance_profiles,
    profile_shares,
    trimmed_means,
    win_probability_entry,
)
from ganbench.analysis.targets import costs_to_target

TABLES = (
    performance_profiles,
    improvement_probabilities,
    interquartile_gains,
    costs_to_target,
    cost_front,
)
BOOTSTRAPPED = (performance_profiles, improvement_probabilities, interquartile_gains)
CELL = ["data", "variant", "loss", "plan"]
DONE = ["data", "variant", "loss", "tricks", "plan"]


def grid(values: dict[str, list[float | None]], outcome="fid", **names):
    """Rows of a cell: of each arm the outcome of every seed, None where it diverged."""
    return [
        row(tricks, seed, value, metric=outcome, **names)
        for tricks, found in values.items()
        for seed, value in enumerate(found)
    ]


def framed(values, outcome="fid", **names) -> pd.DataFrame:
    return frame(*grid(values, outcome, **names), outcome=outcome)


def of(table: pd.DataFrame, tricks: str, *columns: str):
    """Of an arm's rows the columns, as lists; a single value where there is one."""
    found = [table[table["tricks"] == tricks][column].tolist() for column in columns]
    found = [values[0] if len(values) == 1 else values for values in found]
    return found[0] if len(found) == 1 else found


def ragged(outcome="fid", seed=0) -> pd.DataFrame:
    """A grid with lost trainings, arms of unequal numbers, a missing arm and what was not run."""
    rng = np.random.default_rng(seed)
    found = arms({"r1": 0.8, "ema": 1.2}, seeds=5, cells=(1, 5, 20, 100), noise=0.4, random=seed)
    for one in found:
        one |= {"metric": outcome, "data": "ring" if one["plan"] == "cell=3" else "digits"}
        share = one["value"] / (one["value"] + 10)
        one["value"] = share if outcome == "modes" else one["value"]
        if rng.uniform() < 0.1:
            one |= {"value": None, "outcome": rng.choice(["diverged", "failed"])}
        elif rng.uniform() < 0.1:
            one |= {"value": None, "outcome": rng.choice(["done", "not_applicable", "planned"])}
    kept = [one for one in found if (one["plan"], one["tricks"]) != ("cell=1", "ema")]
    return frame(*kept, outcome=outcome)


def dense(made: pd.DataFrame) -> pd.DataFrame:
    """What counts, by plain means: a score that is larger where better, lost ones at -inf."""
    outcome = made.attrs["plan"]["analysis"]["outcome"]
    sign = -1 if FACTS[outcome]["direction"] == "lower" else 1
    lost = made["outcome"].isin(["diverged", "failed"])
    known = made[lost | made["value"].notna()].copy()
    to = SCALES[FACTS[outcome]["transform"]].to
    known["score"] = [-math.inf if pd.isna(v) else sign * to(v) for v in known["value"]]
    return known


# Profiles


def test_shares_by_hand():
    found = performance_profiles(framed({"none": [1.0, 1.0], "r1": [2.0, 4.0]}), (1, 2, 3, 4))
    assert of(found, "none", "share", "trainings") == [[1.0] * 4, [2] * 4]
    assert of(found, "r1", "share") == [0.0, 0.5, 0.5, 1.0]
    assert found["factor"].tolist() == [1, 2, 3, 4] * 2


def test_the_factor_is_to_the_best_arms_geometric_mean():
    found = performance_profiles(framed({"none": [1.0, 4.0], "r1": [9.0, 9.0]}), (1, 1.9, 2.1))
    assert of(found, "none", "share") == [0.5, 0.5, 1.0]
    found = performance_profiles(framed({"none": [1.0, 4.0], "r1": [9.0, 9.0]}), (4.4, 4.6))
    assert of(found, "r1", "share") == [0.0, 1.0]


def test_where_higher_is_better_the_highest_is_best():
    found = performance_profiles(framed({"none": [8.0, 8.0], "r1": [4.0, 1.0]}, "is"), (1, 2, 8))
    assert of(found, "none", "share") == [1.0, 1.0, 1.0]
    assert of(found, "r1", "share") == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("outcome", ["diverged", "failed"])
def test_lost_trainings_are_within_no_factor(outcome):
    lost = row("r1", 2, outcome=outcome)
    found = performance_profiles(
        frame(*grid({"none": [1.0, 1.0], "r1": [1.0, 1.0]}), lost), (1, 1e9)
    )
    assert of(found, "r1", "share", "trainings") == [[pytest.approx(2 / 3)] * 2, [3, 3]]


def test_an_arm_that_lost_trainings_is_not_the_best_unless_all_did():
    values = {"none": [2.0, 2.0, 2.0], "r1": [1.0, 1.0, None]}
    assert of(performance_profiles(framed(values), (1,)), "none", "share") == 1.0
    values["none"] = [2.0, None, None]
    assert of(performance_profiles(framed(values), (1, 2)), "none", "share") == pytest.approx(
        [0, 1 / 3]
    )


def test_where_all_were_lost_all_shares_are_none_and_not_for_sure():
    found = performance_profiles(framed({"none": [None] * 3, "r1": [None] * 3}))
    assert set(found["share"]) == {0.0}
    assert found["high"].tolist() == pytest.approx([1 - 0.025 ** (1 / 3)] * len(found))


def test_cells_with_a_single_arm_compare_nothing():
    alone = grid({"none": [1.0, 2.0]}, plan="alone")
    pair = grid({"none": [1.0, 1.0], "r1": [2.0, 2.0]})
    assert_frame_equal(
        performance_profiles(frame(*alone, *pair)), performance_profiles(frame(*pair))
    )
    assert performance_profiles(frame(*alone)).empty


def test_what_was_not_run_or_does_not_apply_or_has_no_value_is_left_out():
    made = grid({"none": [1.0, 2.0, 3.0], "r1": [2.0, 2.5, 1.0]})
    absent = [row("r1", n, outcome=o) for n, o in enumerate(["done", "not_applicable", "x"], 3)]
    absent += [row("ema", 0, outcome="not_applicable"), row("x", 0, outcome="x")]
    elsewhere = [dict(checkpoint="best"), dict(metric="kid"), dict(role="untrained")]
    elsewhere += [dict(kind="curve", checkpoint=None)]
    others = [{**one, **place, "value": 0.01} for one in made for place in elsewhere]
    for table in BOOTSTRAPPED:
        assert_frame_equal(table(frame(*made, *absent, *others, floor(0.1))), table(frame(*made)))


def test_an_infinite_outcome_is_a_lost_one():
    for outcome in ("fid", "is"):
        made = framed({"none": [1.0, 1.0], "r1": [1.0, math.inf]}, outcome)
        assert of(performance_profiles(made, (1, 1e9)), "r1", "share") == [0.5, 0.5]


def test_on_a_plain_scale_a_factor_stands_for_standard_deviations():
    values = [0.0, 2.0, 3.0, 7.0]  # of the best arm the mean is 1; all have a deviation of 2.94
    found = performance_profiles(
        framed({"none": values[:2], "r1": values[2:]}, "kid"), (1, 1.6, 1.7, 3, 3.1)
    )
    assert np.std(values, ddof=1) == pytest.approx(2.94, abs=0.01)
    assert of(found, "none", "share") == [0.5, 1.0, 1.0, 1.0, 1.0]
    assert of(found, "r1", "share") == [0.0, 0.0, 0.5, 0.5, 1.0]


def test_the_deviation_is_that_of_the_data_set():
    one = {"none": [0.0, 2.0], "r1": [3.0, 7.0]}
    other = {arm: [100 * value for value in values] for arm, values in one.items()}
    both = frame(*grid(one, "kid"), *grid(other, "kid", data="ring"), outcome="kid")
    columns = ["tricks", "factor", "share"]
    assert_frame_equal(
        performance_profiles(both)[columns], performance_profiles(framed(one, "kid"))[columns]
    )


@pytest.mark.parametrize("outcome", ["fid", "is", "kid", "modes"])
@pytest.mark.parametrize("seed", range(3))
def test_shares_of_a_ragged_grid_counted_one_by_one(outcome, seed):
    made, factors = ragged(outcome, seed), (1, 1.1, 1.5, 4)
    known = dense(made)
    known = known[known.groupby(CELL)["tricks"].transform("nunique") > 1]
    hits: dict[tuple[str, float], list[bool]] = {}
    for _, cell in known.groupby(CELL):
        found = {name: part["score"].to_numpy() for name, part in cell.groupby("tricks")}
        ended = {name: s[np.isfinite(s)] for name, s in found.items()}
        able = [name for name in found if len(ended[name])]
        bar = max((len(ended[a]) / len(found[a]), ended[a].mean()) for a in able)[1]
        of_data = known[known["data"] == cell["data"].iloc[0]]["score"]
        spread = of_data[np.isfinite(of_data)].std(ddof=1)
        for factor in factors:
            step = math.log(factor) if FACTS[outcome]["transform"] == "log" else factor - 1
            width = step * (1 if FACTS[outcome]["transform"] == "log" else spread) + 1e-9
            for name, scores in found.items():
                hits.setdefault((name, factor), []).extend(bar - scores <= width)
    table = performance_profiles(made, factors)
    assert len(table) == len(hits)
    for line in table.itertuples():
        expected = hits[line.tricks, line.factor]
        assert (line.share, line.trainings) == (pytest.approx(np.mean(expected)), len(expected))
        assert 0 <= line.low <= line.share <= line.high <= 1


def test_shares_rise_with_the_factor():
    found = performance_profiles(ragged())
    for _, part in found.groupby("tricks"):
        assert part[["share", "low", "high"]].apply(lambda x: x.is_monotonic_increasing).all()


def test_a_planted_best_arm_has_the_highest_profile():
    found = performance_profiles(
        frame(*arms({"r1": 0.5, "ema": 0.9}, cells=(1, 5, 20, 100))), (1.2,)
    )
    by_arm = found.set_index("tricks")
    assert by_arm["share"].idxmax() == "r1"
    assert by_arm["low"]["r1"] > max(by_arm["high"]["none"], by_arm["high"]["ema"])


# Probability of improvement


def test_a_probability_by_hand():
    found = improvement_probabilities(
        framed({"none": [1.0, 3.0], "r1": [2.0, 3.0]})
    )  # > loses, ties with 3
    assert of(found, "r1", "probability", "cells", "trainings") == [0.375, 1, 2]
    assert "none" not in set(found["tricks"])


def test_more_is_better_where_higher_is():
    found = improvement_probabilities(framed({"none": [1.0, 3.0], "r1": [2.0, 3.0]}, "is"))
    assert of(found, "r1", "probability") == 0.625


def test_lost_trainings_lose_to_all_that_ended_and_tie_with_each_other():
    found = improvement_probabilities(
        framed({"none": [1e9, None], "r1": [1.0, None], "ema": [None, None]})
    )
    assert of(found, "r1", "probability") == (1 + 1 + 0 + 0.5) / 4
    assert of(found, "ema", "probability") == 0.25


@pytest.mark.parametrize("outcome", ["fid", "is", "kid", "modes"])
def test_probabilities_of_a_ragged_grid_are_mann_and_whitneys(outcome):
    made = ragged(outcome)
    found, expected = improvement_probabilities(made), {}
    for _, cell in dense(made).groupby(CELL):
        scores = {name: part["score"] for name, part in cell.groupby("tricks")}
        for name in scores.keys() - {"none"}:
            count = len(scores[name]) * len(scores["none"])
            u = stats.mannwhitneyu(scores[name], scores["none"], method="asymptotic").statistic
            expected.setdefault(name, []).append(u / count)
    assert set(found["tricks"]) == set(expected)
    for line in found.itertuples():
        own = expected[line.tricks]
        assert (line.probability, line.cells) == (pytest.approx(np.mean(own)), len(own))


def test_cells_count_the_same_however_many_seeds_they_have():
    large = grid({"none": [1.0] * 6, "r1": [2.0] * 6})
    small = grid({"none": [2.0] * 2, "r1": [1.0] * 2}, plan="small")
    assert of(improvement_probabilities(frame(*large, *small)), "r1", "probability") == 0.5


def test_arms_that_share_no_cell_with_none_are_left_out():
    apart = grid({"ema": [1.0, 2.0]}, plan="apart")
    both = grid({"none": [1.0, 2.0], "r1": [1.0, 2.0]})
    assert improvement_probabilities(frame(*both, *apart))["tricks"].tolist() == ["r1"]
    assert improvement_probabilities(frame(*apart)).empty


def test_to_have_always_won_is_not_to_win_for_sure():
    """Three of three say no more than this (Clopper and Pearson)."""
    found = improvement_probabilities(framed({"none": [2.0, 3.0, 4.0], "r1": [1.0, 0.5, 1.5]}))
    low = stats.binomtest(3, 3).proportion_ci(0.95).low
    assert of(found, "r1", "probability", "low", "high") == [1.0, pytest.approx(low), 1.0]


def test_single_seeds_have_the_interval_of_as_many_throws_of_a_coin():
    found = improvement_probabilities(frame(*arms({"r1": 0.5}, seeds=1, cells=range(1, 9))))
    low = stats.binomtest(8, 8).proportion_ci(0.95).low
    assert of(found, "r1", "probability", "low") == [1.0, pytest.approx(low)]


def test_where_single_seeds_are_among_others_no_bootstrap_pretends_to_know():
    many = arms({"r1": 0.95}, seeds=6, cells=(1, 5))
    single = grid({"none": [1.0], "r1": [0.9]}, plan="single")
    found = improvement_probabilities(frame(*many, *single))
    share, low, high = of(found, "r1", "probability", "low", "high")
    ends = [stats.beta.ppf(0.025, 3 * share, 4 - 3 * share)]  # as of three pairs, one of each cell
    ends += [stats.beta.ppf(0.975, 3 * share + 1, 3 - 3 * share)]
    assert [low, high] == pytest.approx(ends)
    assert interquartile_gains(frame(*many, *single))["low"].isna().all()


# The interquartile mean


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 21])
def test_the_middle_is_scipys_trimmed_mean(count):
    values = np.random.default_rng(count).normal(size=count)
    found = trimmed_means(values[None], np.ones((1, count)))
    assert found == pytest.approx([stats.trim_mean(values, 0.25)])


def test_a_weight_of_two_is_a_value_that_is_there_twice():
    values, weights = np.array([[5.0, 1.0, 7.0, 2.0, 9.0]]), np.array([[2.0, 1.0, 0.0, 3.0, 2.0]])
    expected = stats.trim_mean([5, 5, 1, 2, 2, 2, 9, 9], 0.25)
    assert trimmed_means(values, weights) == pytest.approx([expected])


def test_a_middle_by_hand():
    values = {"none": [4.0, 9.0], "r1": [6.0, 3.0, 2.0, 1.0]}  # ratios 1, 2, 3 and 6 to 6
    found = interquartile_gains(framed(values))
    assert of(found, "r1", "iqm", "failed", "trainings") == [pytest.approx(math.sqrt(6)), 0, 4]
    assert of(found, "none", "iqm") == pytest.approx(1.0)


def test_where_higher_is_better_the_ratio_is_the_other_way():
    found = interquartile_gains(framed({"none": [4.0, 9.0], "r1": [6.0, 12.0, 18.0, 36.0]}, "is"))
    assert of(found, "r1", "iqm") == pytest.approx(math.sqrt(6))


def test_on_a_plain_scale_a_gain_is_a_difference():
    found = interquartile_gains(framed({"none": [4.0, 6.0], "r1": [5.0, 4.0, 3.0, -9.0]}, "kid"))
    assert of(found, "r1", "iqm") == pytest.approx(1.5)


@pytest.mark.parametrize("outcome", ["fid", "is", "kid", "modes"])
@pytest.mark.parametrize("seed", range(3))
def test_middles_of_a_ragged_grid_are_those_of_all_gains(outcome, seed):
    made = ragged(outcome, seed)
    gains: dict[str, list[float]] = {}
    for _, cell in dense(made).groupby(CELL):
        none = cell[cell["tricks"] == "none"]["score"]
        for name, score in zip(cell["tricks"], cell["score"], strict=True):
            gains.setdefault(name, []).append(score - none[np.isfinite(none)].mean())
    for line in interquartile_gains(made).itertuples():
        own = np.array(gains[line.tricks])
        expected = stats.trim_mean(np.where(np.isfinite(own), own, -1e30), 0.25)
        expected = np.exp(expected) if FACTS[outcome]["transform"] == "log" else expected
        lost = int(np.isneginf(own).sum())
        assert (line.failed, line.trainings) == (lost, len(own))
        assert line.iqm == pytest.approx(expected)


def test_lost_trainings_are_trimmed_as_far_as_the_trimmed_quarter_reaches():
    values = {"none": [6.0, 6.0], "r1": [None, 3.0, 2.0, 1.0]}
    assert of(interquartile_gains(framed(values)), "r1", "iqm", "failed") == [
        pytest.approx(math.sqrt(6)),
        1,
    ]
    values["r1"] = [None, None, 2.0, 1.0]
    iqm, low, high, failed = of(
        interquartile_gains(framed(values)), "r1", "iqm", "low", "high", "failed"
    )
    assert [math.isnan(x) for x in (iqm, low, high)] == [True] * 3
    assert failed == 2


def test_where_a_resample_loses_more_than_a_quarter_the_interval_reaches_the_worst():
    values = {"none": [6.0, 5.0, 7.0, 6.5], "r1": [None, 3.0, 2.0, 1.0]}
    assert of(interquartile_gains(framed(values)), "r1", "low") == 0.0
    assert of(interquartile_gains(framed(values, "kid")), "r1", "low") == -math.inf


def test_the_yardstick_is_what_ended_without_tricks_and_cells_without_any_are_left_out():
    values = {"none": [4.0, 9.0, None], "r1": [6.0, 3.0, 2.0, 1.0]}
    lost = grid({"none": [None, None], "r1": [1.0, 1.0]}, plan="lost")
    alone = grid({"r1": [1.0, 1.0]}, plan="alone")
    found = interquartile_gains(frame(*grid(values), *lost, *alone))
    assert of(found, "r1", "iqm", "trainings") == [pytest.approx(math.sqrt(6)), 4]
    assert interquartile_gains(frame(*lost, *alone)).empty


def test_levels_of_cells_do_not_matter():
    close, apart = (
        interquartile_gains(frame(*arms({"r1": 0.8}, cells=cells)))
        for cells in ((1, 1, 1), (0.01, 3, 1e4))
    )
    assert_frame_equal(close, apart)


def test_a_planted_gain_lies_inside_its_interval():
    found = interquartile_gains(
        frame(*arms({"r1": 0.8, "ema": 1.25}, cells=(1, 5, 20, 100), random=2))
    )
    r1, ema = (of(found, arm, "low", "iqm", "high") for arm in ("r1", "ema"))
    assert 1 < r1[0] < 1 / 0.8 < r1[2]
    assert ema[0] < 1 / 1.25 < ema[2] < 1


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_single_seeds_and_equal_ones_have_no_interval(noise):
    found = interquartile_gains(
        frame(*arms({"r1": 0.5}, seeds=1 if noise else 4, cells=(1, 5), noise=noise))
    )
    assert found[["low", "high"]].isna().all(axis=None)
    assert of(found, "r1", "iqm") == pytest.approx(2, rel=0.2)


# The bootstrap


def made_arms(
    rng: np.random.Generator, cells: int, seeds: int, gains: dict[str, float]
) -> ComparedArms:
    """Normal scores, as arrays."""
    names = pd.DataFrame(
        [
            dict(data="d", variant="v", loss="l", plan=str(n), tricks=tricks, cell=n)
            for n in range(cells)
            for tricks in gains
        ]
    )
    scores = names["tricks"].map(gains).to_numpy()[:, None] + rng.normal(size=(len(names), seeds))
    return ComparedArms(names, scores)


def test_draws_count_each_training_once_in_the_mean_and_as_many_in_all():
    whole = made_arms(np.random.default_rng(0), 3, 5, {"none": 0.0, "r1": 0.0})
    whole.scores[0, 3:] = math.nan
    whole.scores[1, 1:] = math.nan
    weights = bootstrap_weights(whole, 0, 4000)
    present = ~np.isnan(whole.scores)
    assert (weights[0] == present).all()
    assert weights.sum(axis=2) == pytest.approx(np.tile(present.sum(axis=1), (4001, 1)))
    assert weights.mean(axis=0) == pytest.approx(present.astype(float), abs=0.06)
    assert (weights[:, 1] == present[1]).all()


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_resampled_means_have_the_error_of_the_mean(seeds):
    arm = made_arms(np.random.default_rng(1), 1, seeds, {"none": 0.0})
    means = (bootstrap_weights(arm, 0, 40_000)[1:, 0] * arm.scores[0]).mean(axis=1)
    assert means.std() == pytest.approx(stats.sem(arm.scores[0]), rel=0.02)


def test_intervals_are_those_of_a_plain_bootstrap():
    made = frame(*arms({"r1": 0.9}, seeds=4, cells=(1, 5, 20), noise=0.3))
    scores = dense(made).pivot_table(index=["plan", "tricks"], columns="seed", values="score")
    cells = [scores.loc[plan] for plan in scores.index.unique("plan")]
    pairs = [(cell.loc["r1"].to_numpy(), cell.loc["none"].to_numpy()) for cell in cells]
    rng, wins, middles = np.random.default_rng(5), [], []
    for _ in range(3000):
        drawn = [(rng.choice(r1, 3), rng.choice(none, 3)) for r1, none in pairs]
        wins.append(np.mean([(r1[:, None] > none).mean() for r1, none in drawn]))
        gains = np.sort(np.concatenate([np.repeat(r1 - none.mean(), 4) for r1, none in drawn]))
        middles.append(np.exp(gains[9:-9].mean()))  # of 36, which are 12 a third each
    ends = [0.025, 0.975]
    found = of(improvement_probabilities(made, resamples=4000), "r1", "low", "high")
    assert found == pytest.approx(np.quantile(wins, ends), abs=0.02)
    found = of(interquartile_gains(made, resamples=4000), "r1", "low", "high")
    assert found == pytest.approx(np.quantile(middles, ends), rel=0.02)


@pytest.mark.parametrize("table", BOOTSTRAPPED)
def test_tables_are_the_same_twice_and_the_generator_decides_the_intervals(table):
    made = ragged()
    before = made.copy()
    assert_frame_equal(table(made), table(made))
    assert_frame_equal(table(made), table(made, rng=np.random.default_rng(0)))
    assert not table(made)["low"].equals(table(made, rng=1)["low"])
    assert_frame_equal(made, before)


GAINS = {"none": 0.0, "r1": 0.5, "ema": -0.2}


def held(cells: int, seeds: int, grids: int) -> dict[str, float]:
    """How often an interval of each kind holds what was planted, or a share's mean over grids."""
    rng, found = np.random.default_rng(0), {"improvement": [], "middle": []}
    shared = []
    for _ in range(grids):
        made = made_arms(rng, cells, seeds, GAINS)
        weights, nones, rows = (
            bootstrap_weights(made, rng, 400),
            baseline_row_of_cell(made),
            made.rows_with_tricks("r1"),
        )
        one = win_probability_entry(made, rows, nones[rows], weights)
        found["improvement"].append(inside(one, stats.norm.cdf(0.5 / math.sqrt(2))))
        found["middle"].append(
            inside(interquartile_gain_entry(made, rows, nones, weights, False), 0.5)
        )
        reach = np.full((len(made.names), 2), [0.0, 0.7])
        shared.append(
            [
                profile_shares(
                    made, made.rows_with_tricks(arm), best_row_of_cell(made), weights, reach
                )
                for arm in GAINS
            ]
        )
    kept = {kind: float(np.mean(values)) for kind, values in found.items()}
    for n, arm in enumerate(GAINS):
        for m in range(2):
            own = [one[n][m] for one in shared]
            expected = np.mean([s["share"] for s in own])
            kept[f"{arm} {m}"] = float(np.mean([inside(s, expected) for s in own]))
    return kept


def inside(found: dict[str, float], expected: float) -> bool:
    return found["low"] <= expected <= found["high"]


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_intervals_over_cells_hold_what_they_should(seeds):
    kept = held(cells=12, seeds=seeds, grids=200)
    assert 0.90 < kept["middle"] < 1  # three standard deviations about 0.95
    assert min(kept.values()) > 0.89


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cells", "seeds", "least"),
    [(30, 2, 0.92), (30, 3, 0.93), (30, 5, 0.93), (5, 5, 0.92), (1, 5, 0.86), (1, 3, 0.8)],
)
def test_intervals_hold_what_the_docstring_says(cells, seeds, least):
    kept = held(cells, seeds, grids=1000)
    assert min(kept.values()) > least, kept


@pytest.mark.slow
def test_five_thousand_trainings_take_seconds():
    made = frame(*arms({f"t{n}": 1.0 for n in range(9)}, cells=range(1, 101)))
    began = time.process_time()
    for table in BOOTSTRAPPED:
        table(made)
    assert time.process_time() - began < 6


# Targets


def curve(values, tricks="none", seed=0, outcome="done", metric="fid", **names):
    """A training and the points of its curve, every 1000 images and 2 seconds."""
    kind = dict(kind="curve", checkpoint=None, metric=metric)
    return [row(tricks, seed, 1.0 if outcome == "done" else None, outcome, **names)] + [
        row(tricks, seed, v, outcome, step=n, images=1000 * n, seconds=2.0 * n, **kind, **names)
        for n, v in enumerate(values, 1)
    ]


def reaching(*curves, target=None, **plan) -> pd.DataFrame:
    return costs_to_target(frame(*(one for found in curves for one in found), **plan), target)


SPENT = ("reached", "trainings", "images", "seconds")


def test_the_first_point_at_or_below_the_target_counts():
    found = reaching(curve([9, 5, 3, 8, 2]), target=5)
    assert of(found, "none", "metric", "target", *SPENT) == ["fid", 5, 1, 1, 2000, 4.0]


def test_where_higher_is_better_the_first_at_or_above():
    found = reaching(curve([1, 5, 3, 8], metric="is"), target=4, outcome="is")
    assert of(found, "none", "metric", *SPENT) == ["is", 1, 1, 2000, 4.0]


def test_the_order_of_rows_does_not_matter():
    made = curve([9, 5, 3, 8, 2])
    assert_frame_equal(reaching(made, target=5), reaching(made[::-1], target=5))


def test_half_of_the_trainings_decide():
    curves = [[5, 1], [1, 1], [5, 5], [5, 5]]
    three = reaching(*(curve(c, seed=n) for n, c in enumerate(curves[:3])), target=1)
    assert of(three, "none", *SPENT) == [2, 3, 2000, 4.0]
    four = reaching(*(curve(c, seed=n) for n, c in enumerate(curves)), target=1)
    assert of(four, "none", *SPENT) == [2, 4, 2000, 4.0]
    fewer = reaching(*(curve(c, seed=n) for n, c in enumerate(curves[1:])), target=1)
    assert of(fewer, "none", "reached", "trainings") == [1, 3]
    assert fewer[["images", "seconds"]].isna().all(axis=None)


@pytest.mark.parametrize("outcome", ["diverged", "failed"])
def test_lost_trainings_never_arrive_with_a_curve_or_without(outcome):
    lost = [curve(c, seed=n, outcome=outcome) for n, c in enumerate(([1, 1], []), 1)]
    found = reaching(curve([1, 1]), *lost, target=1)
    assert of(found, "none", "reached", "trainings") == [1, 3]
    assert found["images"].isna().all()


def test_what_was_not_run_or_has_no_curve_is_no_part_of_it():
    absent = [curve([], seed=1), curve([1], seed=2, outcome="x"), curve([math.nan], seed=3)]
    absent += [curve([], seed=4, outcome="not_applicable"), curve([1], "untrained", role="x")]
    found = reaching(curve([5, 1]), *absent, target=1)
    assert of(found, "none", *SPENT) == [1, 1, 2000, 4.0]
    assert len(found) == 1


def test_by_default_the_target_is_where_trainings_without_tricks_end():
    nones = [curve([9, 4], seed=0), curve([9, 1], seed=1), curve([0.1], seed=2, outcome="diverged")]
    found = reaching(*nones, curve([2, 9], "r1"), curve([9, 9], "ema"))
    assert found["target"].tolist() == pytest.approx([2.0] * 3)
    assert of(found, "r1", *SPENT) == [1, 1, 1000, 2.0]
    assert (of(found, "none", "reached"), of(found, "ema", "reached")) == (1, 0)


def test_equal_ends_are_all_reached():
    found = reaching(*(curve([9, 0.1 + 0.2], seed=n) for n in range(7)))
    assert of(found, "none", *SPENT) == [7, 7, 2000, 4.0]


def test_a_score_that_is_the_target_but_for_rounding_reaches_it():
    ends = [
        curve([9, end], seed=n) for n, end in enumerate([2, 50])
    ]  # exp of their mean is below 10
    assert of(reaching(*ends, curve([99, 10], "r1")), "r1", "reached") == 1


def test_each_data_set_has_its_target():
    both = [curve([9, 4], data=d, seed=n) for d in ("digits", "ring") for n in range(2)]
    other = [curve([900, 400], data="cifar", seed=n) for n in range(2)]
    assert reaching(*both, *other)["target"].tolist() == [4, 4, 400]
    found = reaching(*both, *other, target={"digits": 9, "ring": 4})
    assert found["target"].tolist() == [9, 4, 400]
    assert found["images"].tolist() == [1000, 2000, 2000]


def test_the_plan_may_declare_a_target():
    made = frame(*curve([9, 5, 3]))
    made.attrs["plan"]["analysis"]["target"] = 5.0
    assert of(costs_to_target(made), "none", "target", "images") == [5.0, 2000]
    assert of(costs_to_target(made, 9), "none", "target", "images") == [9.0, 1000]


def test_an_outcome_that_is_on_no_curve_gives_way_to_fid():
    made = frame(*curve([9, 5, 3]), *curve([0.1, 0.9], data="ring", metric="modes"),
                 outcome="modes")  # fmt: skip
    assert costs_to_target(made)["metric"].tolist() == ["fid", "modes"]
    made.attrs["plan"]["metrics"] = {"modes": FACTS["modes"]}
    assert costs_to_target(made)["images"].tolist() == [3000, 2000]


def test_data_sets_without_curves_or_target_are_left_out():
    assert reaching(curve([]), target=1).empty
    assert reaching(curve([1], "r1")).empty


def test_a_planted_speed_is_found():
    rng = np.random.default_rng(0)
    curves = [
        curve(100 * np.exp(-speed * np.arange(1, 41) / 10 + 0.02 * rng.normal(size=40)), arm, seed)
        for arm, speed in {"none": 1.0, "r1": 2.0, "ema": 0.8}.items()
        for seed in range(5)
    ]
    found = reaching(*curves)
    assert of(found, "r1", "images") == pytest.approx(20_000, abs=1000)
    assert of(found, "ema", "reached") == 0


# The front


def priced(value, seconds, seed=0, outcome=None, metric="fid", **names):
    """A training with its outcome and costs."""
    yield row(value=value, seed=seed, outcome=outcome, metric=metric, **names)
    costs = dict(
        train_seconds=seconds,
        train_images_per_second=1000 / seconds,
        peak_memory=10 * seconds,
        generator_parameters=30,
        discriminator_parameters=12,
    )
    for name, cost in costs.items():
        cost = cost if value is not None else None
        kind = dict(metric=name, kind="cost", checkpoint=None, outcome=outcome or "done")
        yield row(value=cost, seed=seed, **kind, **names)


def fronted(*trainings, **plan) -> pd.DataFrame:
    return cost_front(frame(*(one for found in trainings for one in found), **plan))


def on_front(found: pd.DataFrame) -> list[str]:
    return found[found["on_front"]]["tricks"].tolist()


def test_a_front_by_hand():
    prices = {"none": (8, 1), "a": (9, 2), "b": (4, 2), "c": (4, 3), "d": (1, 9), "e": (2, 9.5)}
    found = fronted(*(priced(v, s, tricks=t) for t, (v, s) in prices.items()))
    assert on_front(found) == ["none", "b", "d"]
    assert found["seconds"].is_monotonic_increasing
    assert found[found["on_front"]]["value"].is_monotonic_decreasing


def test_where_higher_is_better_the_front_rises():
    prices = {"none": (1, 1), "b": (4, 2), "c": (3, 3)}
    made = [priced(v, s, tricks=t, metric="is") for t, (v, s) in prices.items()]
    assert on_front(fronted(*made, outcome="is")) == ["none", "b"]


def test_equal_cells_are_both_on_the_front():
    assert on_front(fronted(*(priced(2, 3, tricks=t) for t in ("none", "a")))) == ["none", "a"]


def test_a_cell_has_the_mean_of_its_outcome_and_the_medians_of_its_costs():
    seeds = [(1, 1.0), (4, 2.0), (16, 100.0)]
    (found,) = fronted(*(priced(v, s, n) for n, (v, s) in enumerate(seeds))).to_dict("records")
    assert found["value"] == pytest.approx(4)
    assert (found["seconds"], found["images_per_second"], found["memory"]) == (2, 500, 20)
    assert (found["parameters"], found["failed"], found["trainings"]) == (42, 0, 3)


@pytest.mark.parametrize("outcome", ["diverged", "failed"])
def test_cells_that_lost_a_training_are_never_on_the_front_and_take_none_from_it(outcome):
    lost = [priced(0.1, 0.1, 0, tricks="r1"), priced(None, 1.0, 1, outcome, tricks="r1")]
    found = fronted(priced(8, 1), *lost)
    assert on_front(found) == ["none"]
    r1 = of(found, "r1", "value", "failed", "trainings", "seconds")
    assert r1 == [pytest.approx(0.1), 1, 2, 0.1]


def test_each_data_set_has_its_front_in_its_order():
    made = [
        priced(value, value, data=data, tricks=tricks)
        for data, level in {"ring": 9, "digits": 1}.items()
        for tricks, value in {"none": 2 * level, "a": level}.items()
    ]
    found = fronted(*made)
    assert found["data"].tolist() == ["ring", "ring", "digits", "digits"]
    assert on_front(found) == ["a", "a"]


def test_cells_without_value_or_seconds_are_not_on_the_front():
    unpriced = [row("a", value=0.1)]
    unmeasured = [{**r, "value": None if r["kind"] == "quality" else r["value"]}
                  for r in priced(1, 0.1, tricks="b", outcome="done")]  # fmt: skip
    absent = [row("c", outcome="not_applicable"), row("d", outcome="x")]
    found = fronted(priced(8, 1), unpriced, unmeasured, absent)
    assert on_front(found) == ["none"]
    assert found["tricks"].tolist() == ["none", "a"]


def test_a_front_is_what_no_other_dominates():
    rng = np.random.default_rng(0)
    points = rng.integers(1, 12, size=(60, 2)).astype(float)
    found = fronted(*(priced(v, s, tricks=f"t{n}") for n, (v, s) in enumerate(points)))
    expected = {
        f"t{n}"
        for n, p in enumerate(points)
        if not any((q <= p).all() and (q < p).any() for q in points)
    }
    assert set(on_front(found)) == expected


# All of them


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("made", [(), (row(outcome="x"),), (row(outcome="not_applicable"),)])
def test_where_there_is_nothing_tables_are_empty_and_have_their_columns(table, made):
    empty, filled = table(frame(*made)), table(frame(*grid({"none": [1.0], "r1": [2.0]})))
    assert empty.empty
    assert list(empty.columns) == list(filled.columns)


@pytest.mark.parametrize("table", TABLES)
def test_where_all_failed_tables_say_so_without_numbers(table):
    found = table(framed({"none": [None] * 2, "r1": [None] * 2}))
    expected = {
        performance_profiles: 18,
        improvement_probabilities: 1,
        interquartile_gains: 0,
        costs_to_target: 0,
        cost_front: 2,
    }
    assert len(found) == expected[table]
    if table is improvement_probabilities:
        assert of(found, "r1", "probability") == 0.5
        assert of(found, "r1", "low") < 0.1 < 0.9 < of(found, "r1", "high")


@pytest.mark.parametrize("table", BOOTSTRAPPED)
def test_one_cell_of_one_seed_has_a_value_and_knows_nothing_of_its_error(table):
    found = table(framed({"none": [1.0], "r1": [2.0]}))
    assert len(found)
    wide = found["high"] - found["low"]
    assert (wide.isna() | (wide > 0.9)).all()


def test_every_compared_training_counts_once():
    made = ragged()
    found = make_compared_arms(made)
    assert found.sizes.sum() == len(dense(made))
    assert found.lost.sum() == made["outcome"].isin(["diverged", "failed"]).sum()
    assert not found.names.duplicated(DONE).any()
