"""Profiles, probability of improvement, interquartile means, targets and the front."""

import math

import numpy as np
import pandas as pd
import pytest
from fast_cases import first_cases
from pandas.testing import assert_frame_equal
from scipy import stats
from synthetic_rows import FACTS, arms, floor, frame, row

from ganbench.analysis.front import cost_front
from ganbench.analysis.intervals import SCALES
from ganbench.analysis.profiles import (
    ComparedArms,
    baseline_row_of_background,
    best_row_of_background,
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
ARM = ["data", "variant", "loss", "tricks", "plan"]


def grid(values: dict[str, list[float | None]], outcome="fid", **names):
    """Makes rows of a cell from the outcomes of each arm by seed; None means diverged."""
    return [
        row(tricks, seed, value, metric=outcome, **names)
        for tricks, outcomes in values.items()
        for seed, value in enumerate(outcomes)
    ]


def frame_of(values, outcome="fid", **names) -> pd.DataFrame:
    return frame(*grid(values, outcome, **names), outcome=outcome)


def columns_of(table: pd.DataFrame, tricks: str, *columns: str):
    """Returns columns of an arm's rows as lists, and single entries as values."""
    entries = [table[table["tricks"] == tricks][column].tolist() for column in columns]
    entries = [values[0] if len(values) == 1 else values for values in entries]
    return entries[0] if len(entries) == 1 else entries


def ragged_frame(outcome="fid", seed=0) -> pd.DataFrame:
    """Makes a grid with lost trainings, unequal arms, a missing arm and trials that were not run."""
    rng = np.random.default_rng(seed)
    rows = arms({"r1": 0.8, "ema": 1.2}, seeds=5, cells=(1, 5, 20, 100), noise=0.4, random=seed)
    for one in rows:
        one |= {"metric": outcome, "data": "ring" if one["plan"] == "cell=3" else "digits"}
        share = one["value"] / (one["value"] + 10)
        one["value"] = share if outcome == "modes" else one["value"]
        if rng.uniform() < 0.1:
            one |= {"value": None, "outcome": rng.choice(["diverged", "failed"])}
        elif rng.uniform() < 0.1:
            one |= {"value": None, "outcome": rng.choice(["done", "not_applicable", "planned"])}
    kept = [one for one in rows if (one["plan"], one["tricks"]) != ("cell=1", "ema")]
    return frame(*kept, outcome=outcome)


def scored_rows(row_frame: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows that count, with a score: larger is better, and lost trainings are -inf."""
    outcome = row_frame.attrs["plan"]["analysis"]["outcome"]
    sign = -1 if FACTS[outcome]["direction"] == "lower" else 1
    lost = row_frame["outcome"].isin(["diverged", "failed"])
    known = row_frame[lost | row_frame["value"].notna()].copy()
    to = SCALES[FACTS[outcome]["transform"]].to
    known["score"] = [-math.inf if pd.isna(v) else sign * to(v) for v in known["value"]]
    return known


# Profiles


def test_profile_shares_by_hand():
    profiles = performance_profiles(frame_of({"none": [1.0, 1.0], "r1": [2.0, 4.0]}), (1, 2, 3, 4))
    assert columns_of(profiles, "none", "share", "trainings") == [[1.0] * 4, [2] * 4]
    assert columns_of(profiles, "r1", "share") == [0.0, 0.5, 0.5, 1.0]
    assert profiles["factor"].tolist() == [1, 2, 3, 4] * 2


def test_factor_is_relative_to_best_geometric_mean():
    profiles = performance_profiles(frame_of({"none": [1.0, 4.0], "r1": [9.0, 9.0]}), (1, 1.9, 2.1))
    assert columns_of(profiles, "none", "share") == [0.5, 0.5, 1.0]
    profiles = performance_profiles(frame_of({"none": [1.0, 4.0], "r1": [9.0, 9.0]}), (4.4, 4.6))
    assert columns_of(profiles, "r1", "share") == [0.0, 1.0]


def test_profile_with_higher_is_better():
    profiles = performance_profiles(
        frame_of({"none": [8.0, 8.0], "r1": [4.0, 1.0]}, "is"), (1, 2, 8)
    )
    assert columns_of(profiles, "none", "share") == [1.0, 1.0, 1.0]
    assert columns_of(profiles, "r1", "share") == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("outcome", ["diverged", "failed"])
def test_lost_trainings_are_within_no_factor(outcome):
    lost = row("r1", 2, outcome=outcome)
    profiles = performance_profiles(
        frame(*grid({"none": [1.0, 1.0], "r1": [1.0, 1.0]}), lost), (1, 1e9)
    )
    assert columns_of(profiles, "r1", "share", "trainings") == [[pytest.approx(2 / 3)] * 2, [3, 3]]


def test_best_arm_has_fewest_lost_trainings():
    values = {"none": [2.0, 2.0, 2.0], "r1": [1.0, 1.0, None]}
    assert columns_of(performance_profiles(frame_of(values), (1,)), "none", "share") == 1.0
    values["none"] = [2.0, None, None]
    assert columns_of(
        performance_profiles(frame_of(values), (1, 2)), "none", "share"
    ) == pytest.approx([0, 1 / 3])


def test_all_lost_gives_zero_shares_with_interval():
    profiles = performance_profiles(frame_of({"none": [None] * 3, "r1": [None] * 3}))
    assert set(profiles["share"]) == {0.0}
    assert profiles["high"].tolist() == pytest.approx([1 - 0.025 ** (1 / 3)] * len(profiles))


def test_cells_with_single_arm_are_left_out():
    alone = grid({"none": [1.0, 2.0]}, plan="alone")
    pair = grid({"none": [1.0, 1.0], "r1": [2.0, 2.0]})
    assert_frame_equal(
        performance_profiles(frame(*alone, *pair)), performance_profiles(frame(*pair))
    )
    assert performance_profiles(frame(*alone)).empty


def test_trainings_without_value_are_left_out():
    rows = grid({"none": [1.0, 2.0, 3.0], "r1": [2.0, 2.5, 1.0]})
    absent = [row("r1", n, outcome=o) for n, o in enumerate(["done", "not_applicable", "x"], 3)]
    absent += [row("ema", 0, outcome="not_applicable"), row("x", 0, outcome="x")]
    elsewhere = [dict(checkpoint="best"), dict(metric="kid"), dict(role="untrained")]
    elsewhere += [dict(kind="curve", checkpoint=None)]
    others = [{**one, **place, "value": 0.01} for one in rows for place in elsewhere]
    for table in BOOTSTRAPPED:
        assert_frame_equal(table(frame(*rows, *absent, *others, floor(0.1))), table(frame(*rows)))


def test_infinite_outcome_counts_as_lost():
    for outcome in ("fid", "is"):
        rows = frame_of({"none": [1.0, 1.0], "r1": [1.0, math.inf]}, outcome)
        assert columns_of(performance_profiles(rows, (1, 1e9)), "r1", "share") == [0.5, 0.5]


def test_plain_scale_factors_are_standard_deviations():
    values = [0.0, 2.0, 3.0, 7.0]  # the best arm has mean 1; the standard deviation of all is 2.94
    profiles = performance_profiles(
        frame_of({"none": values[:2], "r1": values[2:]}, "kid"), (1, 1.6, 1.7, 3, 3.1)
    )
    assert np.std(values, ddof=1) == pytest.approx(2.94, abs=0.01)
    assert columns_of(profiles, "none", "share") == [0.5, 1.0, 1.0, 1.0, 1.0]
    assert columns_of(profiles, "r1", "share") == [0.0, 0.0, 0.5, 0.5, 1.0]


def test_standard_deviation_is_per_data_set():
    one = {"none": [0.0, 2.0], "r1": [3.0, 7.0]}
    other = {arm: [100 * value for value in values] for arm, values in one.items()}
    both = frame(*grid(one, "kid"), *grid(other, "kid", data="ring"), outcome="kid")
    columns = ["tricks", "factor", "share"]
    assert_frame_equal(
        performance_profiles(both)[columns], performance_profiles(frame_of(one, "kid"))[columns]
    )


@pytest.mark.parametrize("outcome", ["fid", "is", "kid", "modes"])
@pytest.mark.parametrize("seed", range(3))
def test_profile_shares_of_ragged_grid(outcome, seed):
    rows, factors = ragged_frame(outcome, seed), (1, 1.1, 1.5, 4)
    known = scored_rows(rows)
    known = known[known.groupby(CELL)["tricks"].transform("nunique") > 1]
    hits: dict[tuple[str, float], list[bool]] = {}
    for _, cell in known.groupby(CELL):
        scores_by_arm = {name: part["score"].to_numpy() for name, part in cell.groupby("tricks")}
        ended = {name: s[np.isfinite(s)] for name, s in scores_by_arm.items()}
        able = [name for name in scores_by_arm if len(ended[name])]
        bar = max((len(ended[a]) / len(scores_by_arm[a]), ended[a].mean()) for a in able)[1]
        of_data = known[known["data"] == cell["data"].iloc[0]]["score"]
        spread = of_data[np.isfinite(of_data)].std(ddof=1)
        for factor in factors:
            step = math.log(factor) if FACTS[outcome]["transform"] == "log" else factor - 1
            width = step * (1 if FACTS[outcome]["transform"] == "log" else spread) + 1e-9
            for name, scores in scores_by_arm.items():
                hits.setdefault((name, factor), []).extend(bar - scores <= width)
    table = performance_profiles(rows, factors)
    assert len(table) == len(hits)
    for line in table.itertuples():
        expected = hits[line.tricks, line.factor]
        assert (line.share, line.trainings) == (pytest.approx(np.mean(expected)), len(expected))
        assert 0 <= line.low <= line.share <= line.high <= 1


def test_profile_shares_increase_with_factor():
    profiles = performance_profiles(ragged_frame())
    for _, part in profiles.groupby("tricks"):
        assert part["share"].is_monotonic_increasing


def test_planted_best_arm_has_highest_profile():
    rows = [
        one
        for level in (1, 5, 20, 100)
        for one in arms(
            {"r1": 0.5, "ema": 0.9}, cells=(level,), random=level, variant=f"network {level}"
        )
    ]
    profiles = performance_profiles(frame(*rows), (1.2,))
    by_arm = profiles.set_index("tricks")
    assert by_arm["share"].idxmax() == "r1"
    assert by_arm["low"]["r1"] > max(by_arm["high"]["none"], by_arm["high"]["ema"])


# Probability of improvement


def test_improvement_probability_by_hand():
    probabilities = improvement_probabilities(
        frame_of({"none": [1.0, 3.0], "r1": [2.0, 3.0]})
    )  # r1 ties at 3
    assert columns_of(probabilities, "r1", "probability", "cells", "trainings") == [0.375, 1, 2]
    assert "none" not in set(probabilities["tricks"])


def test_improvement_with_higher_is_better():
    probabilities = improvement_probabilities(
        frame_of({"none": [1.0, 3.0], "r1": [2.0, 3.0]}, "is")
    )
    assert columns_of(probabilities, "r1", "probability") == 0.625


def test_lost_trainings_lose_and_tie_together():
    probabilities = improvement_probabilities(
        frame_of({"none": [1e9, None], "r1": [1.0, None], "ema": [None, None]})
    )
    assert columns_of(probabilities, "r1", "probability") == (1 + 1 + 0 + 0.5) / 4
    assert columns_of(probabilities, "ema", "probability") == 0.25


@pytest.mark.parametrize("outcome", ["fid", "is", "kid", "modes"])
def test_improvement_equals_mann_whitney(outcome):
    rows = ragged_frame(outcome)
    probabilities, expected = improvement_probabilities(rows), {}
    for _, cell in scored_rows(rows).groupby(CELL):
        scores = {name: part["score"] for name, part in cell.groupby("tricks")}
        for name in scores.keys() - {"none"}:
            count = len(scores[name]) * len(scores["none"])
            u = stats.mannwhitneyu(scores[name], scores["none"], method="asymptotic").statistic
            expected.setdefault(name, []).append(u / count)
    assert set(probabilities["tricks"]) == set(expected)
    for line in probabilities.itertuples():
        own = expected[line.tricks]
        assert (line.probability, line.cells) == (pytest.approx(np.mean(own)), len(own))


def test_cells_have_equal_weight():
    large = grid({"none": [1.0] * 6, "r1": [2.0] * 6})
    small = grid({"none": [2.0] * 2, "r1": [1.0] * 2}, plan="small")
    assert columns_of(improvement_probabilities(frame(*large, *small)), "r1", "probability") == 0.5


def test_arms_without_baseline_are_left_out():
    apart = grid({"ema": [1.0, 2.0]}, plan="apart")
    both = grid({"none": [1.0, 2.0], "r1": [1.0, 2.0]})
    assert improvement_probabilities(frame(*both, *apart))["tricks"].tolist() == ["r1"]
    assert improvement_probabilities(frame(*apart)).empty


def test_always_better_keeps_clopper_pearson_bound():
    """Three wins of three have the lower bound of Clopper and Pearson."""
    probabilities = improvement_probabilities(
        frame_of({"none": [2.0, 3.0, 4.0], "r1": [1.0, 0.5, 1.5]})
    )
    low = stats.binomtest(3, 3).proportion_ci(0.95).low
    assert columns_of(probabilities, "r1", "probability", "low", "high") == [
        1.0,
        pytest.approx(low),
        1.0,
    ]


def test_single_seeds_have_binomial_interval():
    rows = [
        one for n in range(8) for one in grid({"none": [1.0], "r1": [0.5]}, variant=f"network {n}")
    ]
    probabilities = improvement_probabilities(frame(*rows))
    low = stats.binomtest(8, 8).proportion_ci(0.95).low
    assert columns_of(probabilities, "r1", "probability", "low") == [1.0, pytest.approx(low)]


def test_mixed_single_seeds_disable_bootstrap():
    many = arms({"r1": 0.95}, seeds=6, cells=(1, 5))
    single = grid({"none": [1.0], "r1": [0.9]}, plan="single")
    probabilities = improvement_probabilities(frame(*many, *single))
    share, low, high = columns_of(probabilities, "r1", "probability", "low", "high")
    ends = [stats.beta.ppf(0.025, share, 2 - share)]  # like the one seed that all cells have
    ends += [stats.beta.ppf(0.975, share + 1, 1 - share)]
    assert [low, high] == pytest.approx(ends)
    assert interquartile_gains(frame(*many, *single))["low"].isna().all()


# Interquartile mean


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 21])
def test_trimmed_mean_equals_scipy(count):
    values = np.random.default_rng(count).normal(size=count)
    actual = trimmed_means(values[None], np.ones((1, count)))
    assert actual == pytest.approx([stats.trim_mean(values, 0.25)])


def test_weight_two_equals_repeated_value():
    values, weights = np.array([[5.0, 1.0, 7.0, 2.0, 9.0]]), np.array([[2.0, 1.0, 0.0, 3.0, 2.0]])
    expected = stats.trim_mean([5, 5, 1, 2, 2, 2, 9, 9], 0.25)
    assert trimmed_means(values, weights) == pytest.approx([expected])


def test_interquartile_gain_of_half_the_fid_is_two():
    values = {"none": [4.0, 9.0, 4.0, 9.0], "r1": [2.0, 4.5, 2.0, 4.5]}
    assert columns_of(interquartile_gains(frame_of(values)), "r1", "iqm") == pytest.approx(2)


def test_interquartile_gain_by_hand():
    values = {
        "none": [4.0, 9.0],
        "r1": [6.0, 3.0, 2.0, 1.0],
    }  # ratios 1, 2, 3 and 6 to the baseline of 6
    gains = interquartile_gains(frame_of(values))
    assert columns_of(gains, "r1", "iqm", "failed", "trainings") == [
        pytest.approx(math.sqrt(6)),
        0,
        4,
    ]
    assert columns_of(gains, "none", "iqm") == pytest.approx(1.0)


def test_gain_ratio_with_higher_is_better():
    gains = interquartile_gains(frame_of({"none": [4.0, 9.0], "r1": [6.0, 12.0, 18.0, 36.0]}, "is"))
    assert columns_of(gains, "r1", "iqm") == pytest.approx(math.sqrt(6))


def test_plain_scale_gain_is_a_difference():
    gains = interquartile_gains(frame_of({"none": [4.0, 6.0], "r1": [5.0, 4.0, 3.0, -9.0]}, "kid"))
    assert columns_of(gains, "r1", "iqm") == pytest.approx(1.5)


@pytest.mark.parametrize("outcome", ["fid", "is", "kid", "modes"])
@pytest.mark.parametrize("seed", range(3))
def test_interquartile_gains_of_ragged_grid(outcome, seed):
    rows = ragged_frame(outcome, seed)
    gains: dict[str, list[float]] = {}
    for _, cell in scored_rows(rows).groupby(CELL):
        none = cell[cell["tricks"] == "none"]["score"]
        for name, score in zip(cell["tricks"], cell["score"], strict=True):
            gains.setdefault(name, []).append(score - none[np.isfinite(none)].mean())
    for line in interquartile_gains(rows).itertuples():
        own = np.array(gains[line.tricks])
        expected = stats.trim_mean(np.where(np.isfinite(own), own, -1e30), 0.25)
        expected = np.exp(expected) if FACTS[outcome]["transform"] == "log" else expected
        lost = int(np.isneginf(own).sum())
        assert (line.failed, line.trainings) == (lost, len(own))
        assert line.iqm == pytest.approx(expected)


def test_lost_trainings_are_trimmed_first():
    values = {"none": [6.0, 6.0], "r1": [None, 3.0, 2.0, 1.0]}
    assert columns_of(interquartile_gains(frame_of(values)), "r1", "iqm", "failed") == [
        pytest.approx(math.sqrt(6)),
        1,
    ]
    values["r1"] = [None, None, 2.0, 1.0]
    iqm, low, high, failed = columns_of(
        interquartile_gains(frame_of(values)), "r1", "iqm", "low", "high", "failed"
    )
    assert [math.isnan(x) for x in (iqm, low, high)] == [True] * 3
    assert failed == 2


def test_many_lost_trainings_widen_interval_to_worst():
    values = {"none": [6.0, 5.0, 7.0, 6.5], "r1": [None, 3.0, 2.0, 1.0]}
    assert columns_of(interquartile_gains(frame_of(values)), "r1", "low") == 0.0
    assert columns_of(interquartile_gains(frame_of(values, "kid")), "r1", "low") == -math.inf


def test_gains_need_finished_baselines():
    values = {"none": [4.0, 9.0, None], "r1": [6.0, 3.0, 2.0, 1.0]}
    lost = grid({"none": [None, None], "r1": [1.0, 1.0]}, plan="lost")
    alone = grid({"r1": [1.0, 1.0]}, plan="alone")
    gains = interquartile_gains(frame(*grid(values), *lost, *alone))
    assert columns_of(gains, "r1", "iqm", "trainings") == [pytest.approx(math.sqrt(6)), 4]
    assert interquartile_gains(frame(*lost, *alone)).empty


def test_gains_ignore_levels_of_cells():
    close, apart = (
        interquartile_gains(frame(*arms({"r1": 0.8}, cells=cells)))
        for cells in ((1, 1, 1), (0.01, 3, 1e4))
    )
    assert_frame_equal(close, apart)


def test_interval_contains_planted_gain():
    gains = interquartile_gains(
        frame(*arms({"r1": 0.8, "ema": 1.25}, cells=(1, 5, 20, 100), random=2))
    )
    r1, ema = (columns_of(gains, arm, "low", "iqm", "high") for arm in ("r1", "ema"))
    assert 1 < r1[0] < 1 / 0.8 < r1[2]
    assert ema[0] < 1 / 1.25 < ema[2] < 1


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_single_or_equal_seeds_have_no_interval(noise):
    gains = interquartile_gains(
        frame(*arms({"r1": 0.5}, seeds=1 if noise else 4, cells=(1, 5), noise=noise))
    )
    assert gains[["low", "high"]].isna().all(axis=None)
    assert columns_of(gains, "r1", "iqm") == pytest.approx(2, rel=0.2)


# Bootstrap


def normal_arms(
    rng: np.random.Generator,
    cells: int,
    seeds: int,
    gains: dict[str, float],
    networks: int = 1,
    shared: float = 0.0,
) -> ComparedArms:
    """Makes arms with normal scores; cells of a network share a part of the variance at each seed."""
    names = pd.DataFrame(
        [
            dict(
                data="d",
                variant=str(n % networks),
                loss="l",
                plan=str(n),
                tricks=tricks,
                background=n,
            )
            for n in range(cells)
            for tricks in gains
        ]
    )
    common = rng.normal(size=(networks, len(gains), seeds))
    common = np.concatenate([common[n % networks] for n in range(cells)])
    own = rng.normal(size=(len(names), seeds))
    noise = math.sqrt(shared) * common + math.sqrt(1 - shared) * own
    return ComparedArms(names, names["tricks"].map(gains).to_numpy()[:, None] + noise)


def test_bootstrap_weights_average_to_one():
    whole = normal_arms(np.random.default_rng(0), 3, 5, {"none": 0.0, "r1": 0.0})
    whole.scores[0, 3:] = math.nan
    whole.scores[1, 1:] = math.nan
    weights = bootstrap_weights(whole, 0, 4000)
    present = ~np.isnan(whole.scores)
    assert (weights[0] == present).all()
    assert weights.sum(axis=2) == pytest.approx(np.tile(present.sum(axis=1), (4001, 1)))
    assert weights.mean(axis=0) == pytest.approx(present.astype(float), abs=0.06)
    assert (weights[:, 1] == present[1]).all()


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_bootstrap_error_equals_standard_error(seeds):
    arm = normal_arms(np.random.default_rng(1), 1, seeds, {"none": 0.0})
    means = (bootstrap_weights(arm, 0, 40_000)[1:, 0] * arm.scores[0]).mean(axis=1)
    assert means.std() == pytest.approx(stats.sem(arm.scores[0]), rel=0.02)


def test_intervals_equal_plain_bootstrap():
    rows = frame(*arms({"r1": 0.9}, seeds=4, cells=(1, 5, 20), noise=0.3))
    scores = scored_rows(rows).pivot_table(index=["plan", "tricks"], columns="seed", values="score")
    cells = [scores.loc[plan] for plan in scores.index.unique("plan")]
    pairs = [(cell.loc["r1"].to_numpy(), cell.loc["none"].to_numpy()) for cell in cells]
    rng, wins, middles = np.random.default_rng(5), [], []
    for _ in range(3000):
        places = rng.choice(4, 3)  # the same seeds of all arms, as the cells are one network
        drawn = [(r1[places], none[places]) for r1, none in pairs]
        wins.append(np.mean([(r1[:, None] > none).mean() for r1, none in drawn]))
        gains = np.sort(np.concatenate([np.repeat(r1 - none.mean(), 4) for r1, none in drawn]))
        middles.append(np.exp(gains[9:-9].mean()))  # 36 values, 12 per cell
    improved = columns_of(
        improvement_probabilities(rows, resamples=4000), "r1", "probability", "low", "high"
    )
    assert improved[1:] == pytest.approx(around(improved[0], wins).clip(0, 1), abs=0.02)
    iqm = columns_of(interquartile_gains(rows, resamples=4000), "r1", "iqm", "low", "high")
    assert np.log(iqm[1:]) == pytest.approx(around(math.log(iqm[0]), np.log(middles)), abs=0.02)


def around(value, resampled):
    """Returns the t interval of four seeds whose standard error is that of the resamples."""
    return value + stats.t.ppf([0.025, 0.975], 3) * np.std(resampled)


@pytest.mark.parametrize("table", BOOTSTRAPPED)
def test_bootstrap_tables_are_deterministic(table):
    rows = ragged_frame()
    before = rows.copy()
    assert_frame_equal(table(rows), table(rows))
    assert_frame_equal(table(rows), table(rows, rng=np.random.default_rng(0)))
    assert not table(rows)["low"].equals(table(rows, rng=1)["low"])
    assert_frame_equal(rows, before)


GAINS = {"none": 0.0, "r1": 0.5, "ema": -0.2}


def interval_coverage(
    cells: int, seeds: int, grids: int, networks: int = 1, shared: float = 0.0
) -> dict[str, float]:
    """Returns the coverage of each kind of interval.

    The true values are the planted effects, or the mean share over grids.
    """
    rng, covered = np.random.default_rng(0), {"improvement": [], "middle": []}
    shares = []
    for _ in range(grids):
        compared = normal_arms(rng, cells, seeds, GAINS, networks, shared)
        weights, nones, rows = (
            bootstrap_weights(compared, rng, 400),
            baseline_row_of_background(compared),
            compared.rows_with_tricks("r1"),
        )
        one = win_probability_entry(compared, rows, nones[rows], weights)
        covered["improvement"].append(contains(one, stats.norm.cdf(0.5 / math.sqrt(2))))
        covered["middle"].append(
            contains(interquartile_gain_entry(compared, rows, nones, weights, False), 0.5)
        )
        reach = np.full((len(compared.names), 2), [0.0, 0.7])
        shares.append(
            [
                profile_shares(
                    compared,
                    compared.rows_with_tricks(arm),
                    best_row_of_background(compared),
                    weights,
                    reach,
                )
                for arm in GAINS
            ]
        )
    kept = {kind: float(np.mean(values)) for kind, values in covered.items()}
    for n, arm in enumerate(GAINS):
        for m in range(2):
            own = [one[n][m] for one in shares]
            expected = np.mean([s["share"] for s in own])
            kept[f"{arm} {m}"] = float(np.mean([contains(s, expected) for s in own]))
    return kept


def contains(interval: dict[str, float], expected: float) -> bool:
    return interval["low"] <= expected <= interval["high"]


@pytest.mark.parametrize("seeds", first_cases(1, [3, 2, 5]))
def test_bootstrap_coverage_over_cells(seeds):
    kept = interval_coverage(cells=12, seeds=seeds, grids=200)
    assert 0.90 < kept["middle"] < 1  # 0.95 ± three standard deviations
    assert min(kept.values()) > 0.89


@pytest.mark.parametrize("shared", [0.5, 0.9])
def test_bootstrap_coverage_with_noise_that_cells_share(shared):
    """Cells of a network share noise at a seed, so that they are few independent trainings."""
    kept = interval_coverage(cells=10, seeds=4, grids=200, networks=2, shared=shared)
    assert kept["middle"] > 0.9
    assert min(kept.values()) > 0.85


@pytest.mark.slow
@pytest.mark.parametrize(("cells", "seeds"), [(30, 2), (30, 3), (30, 5), (5, 5), (1, 5), (1, 3)])
def test_bootstrap_coverage_equals_docstring(cells, seeds):
    kept = interval_coverage(cells, seeds, grids=1000)
    assert min(kept.values()) > 0.92, kept


# Targets


def curve_rows(values, tricks="none", seed=0, outcome="done", metric="fid", **names):
    """Makes a training and the points of its curve, every 1000 images and 2 seconds."""
    kind = dict(kind="curve", checkpoint=None, metric=metric)
    return [row(tricks, seed, 1.0 if outcome == "done" else None, outcome, **names)] + [
        row(tricks, seed, v, outcome, step=n, images=1000 * n, seconds=2.0 * n, **kind, **names)
        for n, v in enumerate(values, 1)
    ]


def target_costs(*curves, target=None, **plan) -> pd.DataFrame:
    return costs_to_target(frame(*(one for rows in curves for one in rows), **plan), target)


SPENT = ("reached", "trainings", "images", "seconds")


def test_first_point_below_target_counts():
    costs = target_costs(curve_rows([9, 5, 3, 8, 2]), target=5)
    assert columns_of(costs, "none", "metric", "target", *SPENT) == ["fid", 5, 1, 1, 2000, 4.0]


def test_first_point_above_target_counts():
    costs = target_costs(curve_rows([1, 5, 3, 8], metric="is"), target=4, outcome="is")
    assert columns_of(costs, "none", "metric", *SPENT) == ["is", 1, 1, 2000, 4.0]


def test_target_ignores_order_of_rows():
    rows = curve_rows([9, 5, 3, 8, 2])
    assert_frame_equal(target_costs(rows, target=5), target_costs(rows[::-1], target=5))


def test_target_cost_is_lower_median():
    curves = [[5, 1], [1, 1], [5, 5], [5, 5]]
    three = target_costs(*(curve_rows(c, seed=n) for n, c in enumerate(curves[:3])), target=1)
    assert columns_of(three, "none", *SPENT) == [2, 3, 2000, 4.0]
    four = target_costs(*(curve_rows(c, seed=n) for n, c in enumerate(curves)), target=1)
    assert columns_of(four, "none", *SPENT) == [2, 4, 2000, 4.0]
    fewer = target_costs(*(curve_rows(c, seed=n) for n, c in enumerate(curves[1:])), target=1)
    assert columns_of(fewer, "none", "reached", "trainings") == [1, 3]
    assert fewer[["images", "seconds"]].isna().all(axis=None)


@pytest.mark.parametrize("outcome", ["diverged", "failed"])
def test_lost_trainings_never_reach_target(outcome):
    lost = [curve_rows(c, seed=n, outcome=outcome) for n, c in enumerate(([1, 1], []), 1)]
    costs = target_costs(curve_rows([1, 1]), *lost, target=1)
    assert columns_of(costs, "none", "reached", "trainings") == [1, 3]
    assert costs["images"].isna().all()


def test_trainings_without_curve_are_left_out():
    absent = [
        curve_rows([], seed=1),
        curve_rows([1], seed=2, outcome="x"),
        curve_rows([math.nan], seed=3),
    ]
    absent += [
        curve_rows([], seed=4, outcome="not_applicable"),
        curve_rows([1], "untrained", role="x"),
    ]
    costs = target_costs(curve_rows([5, 1]), *absent, target=1)
    assert columns_of(costs, "none", *SPENT) == [1, 1, 2000, 4.0]
    assert len(costs) == 1


def test_default_target_is_mean_of_baselines():
    nones = [
        curve_rows([9, 4], seed=0),
        curve_rows([9, 1], seed=1),
        curve_rows([0.1], seed=2, outcome="diverged"),
    ]
    costs = target_costs(*nones, curve_rows([2, 9], "r1"), curve_rows([9, 9], "ema"))
    assert costs["target"].tolist() == pytest.approx([2.0] * 3)
    assert columns_of(costs, "r1", *SPENT) == [1, 1, 1000, 2.0]
    assert (columns_of(costs, "none", "reached"), columns_of(costs, "ema", "reached")) == (1, 0)


def test_equal_final_values_reach_target():
    costs = target_costs(*(curve_rows([9, 0.1 + 0.2], seed=n) for n in range(7)))
    assert columns_of(costs, "none", *SPENT) == [7, 7, 2000, 4.0]


def test_target_tolerates_rounding():
    ends = [
        curve_rows([9, end], seed=n) for n, end in enumerate([2, 50])
    ]  # the exponential of their mean is just below 10
    assert columns_of(target_costs(*ends, curve_rows([99, 10], "r1")), "r1", "reached") == 1


def test_targets_are_per_data_set():
    both = [curve_rows([9, 4], data=d, seed=n) for d in ("digits", "ring") for n in range(2)]
    other = [curve_rows([900, 400], data="cifar", seed=n) for n in range(2)]
    assert target_costs(*both, *other)["target"].tolist() == [4, 4, 400]
    costs = target_costs(*both, *other, target={"digits": 9, "ring": 4})
    assert costs["target"].tolist() == [9, 4, 400]
    assert costs["images"].tolist() == [1000, 2000, 2000]


def test_plan_declares_target():
    rows = frame(*curve_rows([9, 5, 3]))
    rows.attrs["plan"]["analysis"]["target"] = 5.0
    assert columns_of(costs_to_target(rows), "none", "target", "images") == [5.0, 2000]
    assert columns_of(costs_to_target(rows, 9), "none", "target", "images") == [9.0, 1000]


def test_outcome_without_curve_falls_back_to_fid():
    rows = frame(*curve_rows([9, 5, 3]), *curve_rows([0.1, 0.9], data="ring", metric="modes"),
                 outcome="modes")  # fmt: skip
    assert costs_to_target(rows)["metric"].tolist() == ["fid", "modes"]
    rows.attrs["plan"]["metrics"] = {"modes": FACTS["modes"]}
    assert costs_to_target(rows)["images"].tolist() == [3000, 2000]


def test_data_without_curves_is_left_out():
    assert target_costs(curve_rows([]), target=1).empty
    assert target_costs(curve_rows([1], "r1")).empty


def test_planted_speed_is_recovered():
    rng = np.random.default_rng(0)
    curves = [
        curve_rows(
            100 * np.exp(-speed * np.arange(1, 41) / 10 + 0.02 * rng.normal(size=40)), arm, seed
        )
        for arm, speed in {"none": 1.0, "r1": 2.0, "ema": 0.8}.items()
        for seed in range(5)
    ]
    costs = target_costs(*curves)
    assert columns_of(costs, "r1", "images") == pytest.approx(20_000, abs=1000)
    assert columns_of(costs, "ema", "reached") == 0


# Front


def trial_with_costs(value, seconds, seed=0, outcome=None, metric="fid", **names):
    """Yields the rows of a training: its outcome and costs."""
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


def front_of(*trainings, **plan) -> pd.DataFrame:
    return cost_front(frame(*(one for rows in trainings for one in rows), **plan))


def on_front(front: pd.DataFrame) -> list[str]:
    return front[front["on_front"]]["tricks"].tolist()


def test_front_by_hand():
    prices = {"none": (8, 1), "a": (9, 2), "b": (4, 2), "c": (4, 3), "d": (1, 9), "e": (2, 9.5)}
    front = front_of(*(trial_with_costs(v, s, tricks=t) for t, (v, s) in prices.items()))
    assert on_front(front) == ["none", "b", "d"]
    assert front["seconds"].is_monotonic_increasing
    assert front[front["on_front"]]["value"].is_monotonic_decreasing


def test_front_with_higher_is_better():
    prices = {"none": (1, 1), "b": (4, 2), "c": (3, 3)}
    rows = [trial_with_costs(v, s, tricks=t, metric="is") for t, (v, s) in prices.items()]
    assert on_front(front_of(*rows, outcome="is")) == ["none", "b"]


def test_equal_cells_are_both_on_front():
    assert on_front(front_of(*(trial_with_costs(2, 3, tricks=t) for t in ("none", "a")))) == [
        "none",
        "a",
    ]


def test_front_has_mean_outcome_and_median_costs():
    seeds = [(1, 1.0), (4, 2.0), (16, 100.0)]
    (entry,) = front_of(*(trial_with_costs(v, s, n) for n, (v, s) in enumerate(seeds))).to_dict(
        "records"
    )
    assert entry["value"] == pytest.approx(4)
    assert (entry["seconds"], entry["images_per_second"], entry["memory"]) == (2, 500, 20)
    assert (entry["parameters"], entry["failed"], entry["trainings"]) == (42, 0, 3)


@pytest.mark.parametrize("outcome", ["diverged", "failed"])
def test_cells_with_failures_are_not_on_front(outcome):
    lost = [
        trial_with_costs(0.1, 0.1, 0, tricks="r1"),
        trial_with_costs(None, 1.0, 1, outcome, tricks="r1"),
    ]
    front = front_of(trial_with_costs(8, 1), *lost)
    assert on_front(front) == ["none"]
    r1 = columns_of(front, "r1", "value", "failed", "trainings", "seconds")
    assert r1 == [pytest.approx(0.1), 1, 2, 0.1]


def test_fronts_are_per_data_set():
    rows = [
        trial_with_costs(value, value, data=data, tricks=tricks)
        for data, level in {"ring": 9, "digits": 1}.items()
        for tricks, value in {"none": 2 * level, "a": level}.items()
    ]
    front = front_of(*rows)
    assert front["data"].tolist() == ["ring", "ring", "digits", "digits"]
    assert on_front(front) == ["a", "a"]


def test_cells_without_cost_are_not_on_front():
    unpriced = [row("a", value=0.1)]
    unmeasured = [{**r, "value": None if r["kind"] == "quality" else r["value"]}
                  for r in trial_with_costs(1, 0.1, tricks="b", outcome="done")]  # fmt: skip
    absent = [row("c", outcome="not_applicable"), row("d", outcome="x")]
    front = front_of(trial_with_costs(8, 1), unpriced, unmeasured, absent)
    assert on_front(front) == ["none"]
    assert front["tricks"].tolist() == ["none", "a"]


def test_front_equals_undominated_points():
    rng = np.random.default_rng(0)
    points = rng.integers(1, 12, size=(60, 2)).astype(float)
    front = front_of(*(trial_with_costs(v, s, tricks=f"t{n}") for n, (v, s) in enumerate(points)))
    expected = {
        f"t{n}"
        for n, p in enumerate(points)
        if not any((q <= p).all() and (q < p).any() for q in points)
    }
    assert set(on_front(front)) == expected


# All tables


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("rows", [(), (row(outcome="x"),), (row(outcome="not_applicable"),)])
def test_empty_tables_keep_their_columns(table, rows):
    empty, filled = table(frame(*rows)), table(frame(*grid({"none": [1.0], "r1": [2.0]})))
    assert empty.empty
    assert list(empty.columns) == list(filled.columns)


@pytest.mark.parametrize("table", TABLES)
def test_tables_of_only_failed_trainings(table):
    result = table(frame_of({"none": [None] * 2, "r1": [None] * 2}))
    expected = {
        performance_profiles: 18,
        improvement_probabilities: 1,
        interquartile_gains: 0,
        costs_to_target: 0,
        cost_front: 2,
    }
    assert len(result) == expected[table]
    if table is improvement_probabilities:
        assert columns_of(result, "r1", "probability") == 0.5
        assert columns_of(result, "r1", "low") < 0.1 < 0.9 < columns_of(result, "r1", "high")


@pytest.mark.parametrize("table", BOOTSTRAPPED)
def test_single_training_has_no_useful_interval(table):
    result = table(frame_of({"none": [1.0], "r1": [2.0]}))
    assert len(result)
    wide = result["high"] - result["low"]
    assert (wide.isna() | (wide > 0.9)).all()


def test_every_training_counts_once():
    rows = ragged_frame()
    compared = make_compared_arms(rows)
    assert compared.sizes.sum() == len(scored_rows(rows))
    assert compared.lost.sum() == rows["outcome"].isin(["diverged", "failed"]).sum()
    assert not compared.names.duplicated(ARM).any()
