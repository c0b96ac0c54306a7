"""Intervals, effects, the leaderboard, and the rows from which they are computed."""

import math
import shutil
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal
from scipy import stats
from synthetic_rows import FACTS, arms, floor, frame, row

import ganbench
from ganbench.analysis.contrasts import (
    Change,
    arm_difference,
    change_of_samples,
    estimate_contrast,
    holm_correct,
)
from ganbench.analysis.effects import chain_effects, effects_by_variant, trick_effects
from ganbench.analysis.intervals import SCALES, is_improvement, t_interval
from ganbench.analysis.leaderboard import leaderboard
from ganbench.analysis.rows import (
    COST_UNITS,
    ROW_FIELDS,
    ROW_SCHEMA,
    collect_rows,
    flags_of,
    save_rows,
)
from ganbench.data import DATA
from ganbench.experiments.floors import measure_floors
from ganbench.experiments.plan import plan_record, plan_trials
from ganbench.experiments.run_trial import run_trial
from ganbench.experiments.store import Store
from ganbench.experiments.suite import Suite
from ganbench.files import CorruptFile, read_json, write_json


def single_effect(row_frame: pd.DataFrame):
    (effect,) = trick_effects(row_frame)
    return effect


# Intervals


def test_interval_equals_students():
    values = [1.0, 2.0, 4.0, 9.0]
    interval = t_interval(values)
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (interval.mean, interval.low, interval.high) == pytest.approx((4.0, low, high))
    assert interval.count == 4


def test_interval_of_two_values_by_hand():
    interval = t_interval([1.0, 3.0])  # mean 2, standard error 1, t(0.975, 1) = 12.7062
    assert (interval.low, interval.high) == pytest.approx((2 - 12.7062, 2 + 12.7062), abs=1e-4)


def test_log_scale_has_geometric_mean_and_ratio_interval():
    interval = t_interval([1.0, math.e**2], "log")
    assert interval.mean == pytest.approx(math.e)
    assert interval.high / interval.mean == pytest.approx(math.exp(12.7062), rel=1e-4)
    assert interval.mean / interval.low == pytest.approx(math.exp(12.7062), rel=1e-4)


@pytest.mark.parametrize("direction", ["lower", "higher"])
@pytest.mark.parametrize("no_change", [0.0, 1.0])
def test_only_a_change_is_an_improvement(direction, no_change):
    better, worse = (-0.1, 0.1) if direction == "lower" else (0.1, -0.1)
    assert is_improvement(no_change + better, direction, no_change)
    for change in (no_change + worse, no_change, math.nan):
        assert not is_improvement(change, direction, no_change)


def test_logit_interval_stays_between_zero_and_one():
    values = [0.2, 0.5, 0.8, 0.9]
    interval = t_interval(values, "logit")
    transformed = np.log(np.array(values) / (1 - np.array(values)))
    low, high = stats.t.interval(0.95, 3, loc=transformed.mean(), scale=stats.sem(transformed))
    expected = [1 / (1 + math.exp(-x)) for x in (transformed.mean(), low, high)]
    assert [interval.mean, interval.low, interval.high] == pytest.approx(expected)
    assert 0 < interval.low < interval.mean < interval.high < 1


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_interval_coverage_equals_level(level):
    rng = np.random.default_rng(0)
    intervals = [t_interval(rng.normal(3, 1, 4).tolist(), level=level) for _ in range(1000)]
    share = sum(interval.low < 3 < interval.high for interval in intervals) / len(intervals)
    assert share == pytest.approx(level, abs=3.5 * math.sqrt(level * (1 - level) / 1000))


@pytest.mark.parametrize("transform", SCALES)
def test_one_value_has_no_interval(transform):
    one, none = t_interval([0.5], transform), t_interval([], transform)
    assert (one.mean, one.count) == (pytest.approx(0.5), 1)
    assert all(map(math.isnan, (one.low, one.high, none.mean, none.low, none.high)))
    assert none.count == 0


@pytest.mark.parametrize(("transform", "edges"), [("log", [0.0]), ("logit", [0.0, 1.0])])
def test_values_at_scale_edges_stay_finite(transform, edges):
    interval = t_interval([*edges, 0.5, 0.6], transform)
    assert all(map(math.isfinite, (interval.mean, interval.low, interval.high)))


# Holm's correction


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.02], [0.02]),
        ([], []),
    ],
)
def test_holm_correction_by_hand(p, expected):
    assert holm_correct(p) == pytest.approx(expected)


def test_holm_equals_running_maximum():
    p = np.random.default_rng(0).uniform(size=9)
    expected = [min(1, max((9 - sum(p < q)) * q for q in p if q <= own)) for own in p]
    assert holm_correct(p.tolist()) == pytest.approx(expected)


def test_holm_ignores_missing_p():
    corrected = holm_correct([math.nan, 0.01, math.nan, 0.04])
    assert corrected[1::2] == pytest.approx([0.02, 0.04])
    assert all(map(math.isnan, corrected[::2]))


# Effects


def test_interval_contains_planted_effect():
    effect = single_effect(frame(*arms({"r1": 0.7}, cells=(1, 5, 20, 100))))
    assert (effect.tricks, effect.verdict) == ("r1", "helps")
    assert effect.low < 0.7 < effect.high < 1
    assert (effect.pairs, effect.cells, effect.lost) == (20, 4, 0)


@pytest.mark.parametrize(
    ("outcome", "factor", "verdict"),
    [("fid", 0.7, "helps"), ("fid", 1.4, "harms"), ("is", 0.7, "harms"), ("is", 1.4, "helps")],
)
def test_verdict_follows_direction_of_metric(outcome, factor, verdict):
    rows = frame(*arms({"r1": factor}, cells=(1, 5), metric=outcome), outcome=outcome)
    assert single_effect(rows).verdict == verdict


@pytest.mark.parametrize(("outcome", "verdict"), [("kid", "helps"), ("modes", "harms")])
def test_effect_on_other_scales_is_a_difference(outcome, verdict):
    values = {"none": [0.50, 0.52, 0.49, 0.51], "r1": [0.31, 0.30, 0.29, 0.33]}
    rows = [row(t, s, v, metric=outcome) for t, vs in values.items() for s, v in enumerate(vs)]
    effect = single_effect(frame(*rows, outcome=outcome))
    transformed = {
        t: np.array([SCALES[FACTS[outcome]["transform"]].to(v) for v in values[t]]) for t in values
    }
    expected = stats.ttest_rel(transformed["r1"], transformed["none"])
    low, high = expected.confidence_interval()
    rows = (effect.ratio, effect.low, effect.high, effect.p)
    mean = (transformed["r1"] - transformed["none"]).mean()
    assert rows == pytest.approx((mean, low, high, expected.pvalue))
    assert effect.verdict == verdict


welch = partial(stats.ttest_ind, equal_var=False)


@pytest.mark.parametrize(("paired", "test"), [(True, stats.ttest_rel), (False, welch)])
def test_single_cell_equals_scipy_t_test(paired, test):
    rows = frame(*arms({"r1": 0.8}, seeds=6, noise=0.3), paired=paired)
    logs = [np.log(rows[rows["tricks"] == arm]["value"]) for arm in ("r1", "none")]
    expected, effect = test(*logs), single_effect(rows)
    low, high = np.exp(expected.confidence_interval())
    assert (effect.low, effect.high, effect.p) == pytest.approx((low, high, expected.pvalue))
    assert effect.ratio == pytest.approx(math.exp(logs[0].mean() - logs[1].mean()))


def test_two_cells_combine_by_welch_and_satterthwaite():
    trick, none = np.array([1.0, 2.0, 4.0]), np.array([0.5, 2.5, 2.0])
    other, others_none = np.array([5.0, 9.0]), np.array([4.0, 5.0])
    estimate = estimate_contrast(
        [arm_difference(trick, none, True), arm_difference(other, others_none, True)]
    )
    first, second = np.var([0.5, -0.5, 2.0], ddof=1) / 3, np.var([1.0, 4.0], ddof=1) / 2
    freedom = (first + second) ** 2 / (first**2 / 2 + second**2 / 1)
    error = math.sqrt(first + second) / 2
    half = stats.t.ppf(0.975, freedom) * error
    expected = (2 / 3 + 2.5) / 2
    assert estimate.mean == pytest.approx(expected)
    assert estimate.interval() == pytest.approx((expected - half, expected + half))
    assert estimate.p() == pytest.approx(2 * stats.t.sf(expected / error, freedom))


def test_cell_with_one_pair_borrows_variance():
    known, single = Change(1.0, 0.02, 4, 5), Change(3.0, math.nan, 0, 1)
    estimate = estimate_contrast([known, single])
    half = stats.t.ppf(0.975, 4) * math.sqrt(0.12) / 2  # the only variance comes from one cell
    assert (estimate.mean, *estimate.interval()) == pytest.approx((2.0, 2 - half, 2 + half))


@pytest.mark.parametrize("seeds", [(2, *[1] * 9), (2, 3), (3, 3, 3, 1), (5, 5)])
def test_false_positive_rate_holds_with_lost_trainings(seeds):
    rng = np.random.default_rng(0)
    draws = 2000
    p_values = [
        estimate_contrast(
            [arm_difference(rng.normal(size=n), rng.normal(size=n), True) for n in seeds]
        ).p()
        for _ in range(draws)
    ]
    assert np.mean(np.array(p_values) < 0.05) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / draws) + 0.01


# Cells of one network


def network_rows(cells, seeds=4, lost=()):
    """Makes rows of cells that differ in their loss, without those of the lost (cell, trick, seed)."""
    rows = [{**r, "loss": r["plan"], "plan": ""} for r in arms({"r1": 0.8}, seeds, cells)]
    return [r for r in rows if (r["loss"][-1], r["tricks"], r["seed"]) not in lost]


@pytest.mark.parametrize(("paired", "test"), [(True, stats.ttest_rel), (False, welch)])
def test_seeds_of_one_network_count_once(paired, test):
    rows = frame(*network_rows((1, 5, 20)), paired=paired)
    logs = np.log(rows["value"]).groupby([rows["tricks"], rows["seed"]]).mean()
    expected, effect = test(logs["r1"], logs["none"]), single_effect(rows)
    low, high = np.exp(expected.confidence_interval())
    assert (effect.low, effect.high, effect.p) == pytest.approx((low, high, expected.pvalue))
    assert effect.cells == 3


def test_lost_seeds_keep_the_mean_and_leave_the_error():
    """The mean has each cell's own pairs; the error is that of the seeds that all cells have."""
    rows = frame(*network_rows((1, 5), lost={("1", "r1", 0)}))
    logs = np.log(rows["value"]).groupby([rows["loss"], rows["tricks"], rows["seed"]]).mean()
    pairs = logs[:, "r1"].sub(logs[:, "none"]).dropna()
    effect = single_effect(rows)
    assert math.log(effect.ratio) == pytest.approx(pairs.groupby("loss").mean().mean())
    both = pairs.unstack("loss").dropna().mean(axis=1)
    half = math.log(effect.high / effect.low) / 2
    assert half == pytest.approx(stats.t.ppf(0.975, 2) * both.sem())


def changes_of_network(cells):
    """Makes the changes of cells of one network, each with its values by seed."""
    return [change_of_samples({"": cell}, "network") for cell in cells]


def test_error_without_common_seeds_is_bounded_by_that_of_equal_cells():
    """The mean has each cell's own pairs, whatever seeds were lost."""
    cells = [{0: 1.0, 1: 2.0}, {1: 4.0, 2: 8.0}, {0: 3.0}]
    estimate = estimate_contrast(changes_of_network(cells))
    first, second = 0.5, 8.0  # variances; the single pair borrows their mean
    errors = math.sqrt(first / 2) + math.sqrt(second / 2) + math.sqrt((first + second) / 2)
    assert estimate.mean == pytest.approx((1.5 + 6 + 3) / 3)
    assert (estimate.error, estimate.freedom) == pytest.approx((errors / 3, 1))
    lost = {("0", "r1", s) for s in (0, 1)} | {("1", "r1", s) for s in (2, 3)}
    assert single_effect(frame(*network_rows((1, 5), lost=lost))).p > 0


def test_network_of_single_pairs_borrows_as_one_change():
    known = change_of_samples({"": {0: 1.0, 1: 3.0}}, "other")
    estimate = estimate_contrast([*changes_of_network([{0: 1.0}, {1: 5.0}]), known])
    assert estimate.error == pytest.approx(math.sqrt((2 / 3) ** 2 * 2 + (1 / 3) ** 2 * 1))


@pytest.mark.parametrize("shared", [0.46, 0.9])
@pytest.mark.parametrize(
    ("cells", "seeds", "lost"),
    [(5, 3, {(0, 0), (1, 1)}), (5, 3, {(0, 0), (0, 1)}), (10, 5, {(n, n) for n in range(4)})],
)
def test_false_positive_rate_holds_without_common_seeds(cells, seeds, lost, shared):
    """Cells that counted as independent had 14 % to 45 % of false positives."""
    rng, draws = np.random.default_rng(0), 500
    noise = math.sqrt(1 - shared) * rng.normal(size=(draws, cells, seeds))
    noise += math.sqrt(shared) * rng.normal(size=(draws, 1, seeds))
    kept = [[s for s in range(seeds) if (cell, s) not in lost] for cell in range(cells)]
    networks = ([{s: own[s] for s in k} for own, k in zip(n, kept, strict=True)] for n in noise)
    p = [estimate_contrast(changes_of_network(network)).p() for network in networks]
    assert np.mean(np.array(p) < 0.05) <= 0.05


@pytest.mark.parametrize("networks", [1, 3])
def test_intervals_cover_when_cells_of_a_network_share_noise(networks):
    rng, draws, cells, seeds, shared = np.random.default_rng(0), 2000, 5, 3, 0.6
    noise = math.sqrt(1 - shared) * rng.normal(size=(draws, networks, cells, seeds))
    noise += math.sqrt(shared) * rng.normal(size=(draws, networks, 1, seeds))
    estimates = [
        estimate_contrast(
            [
                change_of_samples({"": dict(enumerate(cell.tolist()))}, number)
                for number, network in enumerate(grid)
                for cell in network
            ]
        )
        for grid in noise
    ]
    covered = np.mean([low <= 0 <= high for low, high in (e.interval() for e in estimates)])
    assert covered == pytest.approx(0.95, abs=0.02)


def test_pairing_removes_shared_seed_noise():
    seeds = np.random.default_rng(0).normal(size=6)
    rows = [row(t, s, f * math.exp(x)) for t, f in {"none": 1, "r1": 0.7}.items()
             for s, x in enumerate(seeds)]  # fmt: skip
    noise = arms({"r1": 1.0}, seeds=6, noise=0.01)
    rows = [{**f, "value": f["value"] * n["value"]} for f, n in zip(rows, noise, strict=True)]
    paired, unpaired = single_effect(frame(*rows)), single_effect(frame(*rows, paired=False))
    assert paired.ratio == pytest.approx(unpaired.ratio)
    assert (paired.verdict, unpaired.verdict) == ("helps", "undecided")


def test_effect_ignores_levels_of_cells():
    close = single_effect(frame(*arms({"r1": 0.9}, cells=(1, 1, 1))))
    apart = single_effect(frame(*arms({"r1": 0.9}, cells=(0.01, 3, 10_000))))
    assert (apart.ratio, apart.low, apart.high) == pytest.approx(
        (close.ratio, close.low, close.high)
    )


@pytest.fixture(scope="module")
def null_frames():
    return [frame(*arms({"r1": 1.0}, seeds=4, random=n), equivalence=0) for n in range(200)]


@pytest.mark.parametrize("paired", [True, False])
def test_false_positive_rate_equals_level(null_frames, paired):
    wrong = 0
    for rows in null_frames:
        rows.attrs["plan"]["analysis"]["paired"] = paired
        wrong += single_effect(rows).verdict != "undecided"
    assert 2 <= wrong <= 20  # 5 % of 200, ± three standard deviations


def test_p_grows_with_number_of_tricks():
    one = single_effect(frame(*arms({"r1": 0.7})))
    same = frame(*arms({"r1": 0.7}), *more_tricks(4))
    corrected = {effect.tricks: effect for effect in trick_effects(same)}["r1"]
    assert corrected.p == pytest.approx(5 * one.p)
    assert (corrected.low, corrected.high) == (one.low, one.high)


def more_tricks(count: int):
    """Makes arms of tricks without any effect."""
    rows = arms({f"trick{n}": 1.0 for n in range(count)}, random=1)
    return [r for r in rows if r["tricks"] != "none"]


def test_single_seed_is_undecided():
    effect = single_effect(frame(*arms({"r1": 0.1}, seeds=1, cells=(1, 5, 9))))
    assert (effect.pairs, effect.cells, effect.verdict) == (3, 3, "undecided")
    assert all(map(math.isnan, (effect.low, effect.high, effect.p)))
    assert 0.08 < effect.ratio < 0.12


def test_identical_changes_are_undecided():
    effect = single_effect(frame(*arms({"r1": 0.5}, noise=0)))
    assert effect.ratio == pytest.approx(0.5)
    assert effect.verdict == "undecided"


@pytest.mark.parametrize("outcome", ["diverged", "failed"])
def test_failed_trainings_count_as_lost(outcome):
    broken = [row("r1", seed, outcome=outcome, plan="cell=0") for seed in (5, 6)]
    nones = [row("none", seed, 1.0, plan="cell=0") for seed in (5, 6)]
    intact = arms({"r1": 0.7})
    effect, whole = single_effect(frame(*intact, *broken, *nones)), single_effect(frame(*intact))
    assert (effect.lost, effect.pairs) == (2, 5)
    assert (effect.ratio, effect.low) == (whole.ratio, whole.low)


def test_failure_of_both_arms_is_not_lost():
    broken = [row(arm, 5, outcome="diverged", plan="cell=0") for arm in ("r1", "none")]
    assert single_effect(frame(*arms({"r1": 0.7}), *broken)).lost == 0


def test_always_failing_trick_reports_lost_trainings():
    broken = [row("r1", seed, outcome="diverged") for seed in range(3)]
    effect = single_effect(frame(*broken, *(row("none", seed, 1.0 + seed) for seed in range(3))))
    assert (effect.pairs, effect.cells, effect.lost, effect.verdict) == (0, 0, 3, "undecided")
    assert math.isnan(effect.ratio)


def test_not_applicable_cells_are_left_out():
    without = [row("r1", seed, outcome="not_applicable", plan="cell=1") for seed in range(5)]
    nones = [row("none", seed, 8.0, plan="cell=1") for seed in range(5)]
    effect, same = (
        single_effect(frame(*arms({"r1": 0.7}), *without, *nones)),
        single_effect(frame(*arms({"r1": 0.7}))),
    )
    assert effect == same


def test_never_applicable_trick_has_no_effect():
    without = [row("ema", seed, outcome="not_applicable") for seed in range(3)]
    assert [e.tricks for e in trick_effects(frame(*arms({"r1": 0.7}), *without))] == ["r1"]


def test_effects_use_last_checkpoint_of_trials():
    rows = arms({"r1": 0.7})
    others = [
        {**r, **changed, "value": 99.0 + r["seed"]}
        for r in rows
        for changed in ({"checkpoint": "best"}, {"metric": "kid"}, {"role": "untrained"})
    ]
    assert single_effect(frame(*rows, *others, floor(0.1))) == single_effect(frame(*rows))


def test_tricks_only_tried_jointly_are_one_effect():
    effects = trick_effects(frame(*arms({"r1": 0.7, "ema + ttur": 0.5})))
    assert [effect.tricks for effect in effects] == ["r1", "ema + ttur"]


def test_factorial_effect_is_mean_over_backgrounds():
    rows = frame(*arms({"r1": 0.7, "ema": 1.0, "ema + r1": 0.5}, noise=1e-6))
    effects = {effect.tricks: effect for effect in trick_effects(rows)}
    assert list(effects) == ["r1", "ema"]
    assert effects["r1"].ratio == pytest.approx(math.sqrt(0.7 * 0.5), rel=1e-4)
    assert effects["ema"].ratio == pytest.approx(math.sqrt(1.0 * 0.5 / 0.7), rel=1e-4)
    (chain,) = chain_effects(rows)
    assert (chain.tricks, chain.ratio) == ("ema + r1", pytest.approx(0.5, rel=1e-4))


@pytest.mark.parametrize(
    ("factor", "noise", "verdict"),
    [(1.0, 0.001, "equivalent"), (0.99, 0.001, "equivalent"), (1.0, 0.1, "undecided"),
     (0.9, 0.001, "helps"), (1.1, 0.001, "harms")],
)  # fmt: skip
def test_effects_within_margin_are_equivalent(factor, noise, verdict):
    assert single_effect(frame(*arms({"r1": factor}, noise=noise))).verdict == verdict


# Leaderboard


def losses_with_ranks(board: pd.DataFrame) -> list[tuple[str, object]]:
    return [(r.loss, None if pd.isna(r.rank) else r.rank) for r in board.itertuples()]


def board_of(values: dict[str, float | None], outcome="fid", **plan) -> pd.DataFrame:
    rows = [row(value=v, loss=loss, metric=outcome) for loss, v in values.items()]
    return leaderboard(frame(*rows, outcome=outcome, **plan))


def test_lowest_value_ranks_first():
    board = board_of({"hinge": 3.0, "minimax": 1.0, "wasserstein": 2.0})
    assert losses_with_ranks(board) == [("minimax", 1), ("wasserstein", 2), ("hinge", 3)]


@pytest.mark.parametrize("outcome", ["is", "modes"])
def test_highest_value_ranks_first(outcome):
    board = board_of({"hinge": 0.3, "minimax": 0.1, "wasserstein": 0.2}, outcome)
    assert losses_with_ranks(board) == [("hinge", 1), ("wasserstein", 2), ("minimax", 3)]


def test_equal_cells_share_a_rank():
    board = board_of({"hinge": 1.0, "minimax": 1.0, "wasserstein": 2.0})
    assert losses_with_ranks(board) == [("hinge", 1), ("minimax", 1), ("wasserstein", 3)]


def test_ranks_restart_per_data_set():
    values = (("hinge", 2.0), ("minimax", 1.0))
    rows = [row(value=v, loss=loss, data=d) for d in ("digits", "ring") for loss, v in values]
    board = leaderboard(frame(*rows))
    assert board["data"].tolist() == ["digits", "digits", "ring", "ring"]
    assert board["rank"].tolist() == [1, 2, 1, 2]


def test_floors_have_no_outcomes_and_no_rates():
    board = leaderboard(frame(row(value=2.0), floor(0.1))).set_index("role")
    assert board.loc["floor", ["seeds", "done", "diverged", "failed"]].tolist() == [0, 0, 0, 0]
    assert board.loc["floor", ["failure rate", "failure low", "failure high"]].isna().all()
    assert board.loc["trial", ["done", "failure rate"]].tolist() == [1, 0]


def test_references_are_ordered_without_rank():
    untrained = row(value=90.0, role="untrained", loss="minimax")
    board = leaderboard(
        frame(row(value=100.0), row(value=2.0, loss="wasserstein"), untrained, floor(0.1))
    )
    assert board["role"].tolist() == ["floor", "trial", "untrained", "trial"]
    assert board["rank"].fillna(0).tolist() == [0, 1, 0, 2]


@pytest.mark.parametrize("outcome", ["fid", "is"])
def test_cells_without_value_come_last_with_reason(outcome):
    names = dict(metric=outcome)
    without = row(loss="wasserstein", outcome="not_applicable", reason="no targets", **names)
    rows = [row(value=3.0, **names), row(loss="minimax", reason="boom", **names), without]
    board = leaderboard(frame(*reversed(rows), outcome=outcome))
    assert losses_with_ranks(board)[0] == ("hinge", 1)
    assert {rank for _, rank in losses_with_ranks(board)[1:]} == {None}
    by_loss = board.set_index("loss")
    assert by_loss["reason"].to_dict() == {
        "hinge": "",
        "minimax": "boom",
        "wasserstein": "no targets",
    }
    assert (by_loss["diverged"]["minimax"], by_loss["not_applicable"]["wasserstein"]) == (1, 1)


def test_cell_mean_uses_measured_seeds():
    values = [1.0, 4.0, 9.0]
    rows = [row(seed=s, value=v) for s, v in enumerate(values)] + [row(seed=3, reason="boom")]
    (entry,) = leaderboard(frame(*rows)).to_dict("records")
    expected = t_interval(values, "log")
    assert (entry["fid"], entry["fid low"], entry["fid high"]) == pytest.approx(
        (expected.mean, expected.low, expected.high)
    )
    assert (entry["seeds"], entry["done"], entry["diverged"]) == (4, 3, 1)
    assert entry["reason"] == "boom"


def test_speed_is_median_over_trials():
    cost = dict(metric="train_images_per_second", checkpoint=None, kind="cost")
    rows = [
        r for s in range(3) for r in (row(seed=s, value=1.0), row(seed=s, value=10.0**s, **cost))
    ]
    (entry,) = leaderboard(frame(*rows)).to_dict("records")
    assert entry["train_images_per_second"] == 10.0


def test_board_without_results_has_no_ranks():
    board = leaderboard(frame(row(outcome="x"), row(outcome="x", loss="minimax"), floor(None)))
    assert board["rank"].isna().all()


# Rows

METRICS = ("fid", "modes")


@pytest.fixture(scope="module")
def plan():
    """The trials and the plan of a small suite: three arms with two seeds, one not applicable."""
    content = dict(
        schema=1, name="tiny", data=["ring"], metrics=list(METRICS), seeds=2, points=1,
        grid=[dict(variants=["gan(width=8)"], losses=["wasserstein"],
                   tricks=dict(chains=[[], ["r1"], ["label_smoothing"]]))],
        budget=dict(cpu=dict(generator_turns=2)),
    )  # fmt: skip
    suite = Suite.model_validate(content)
    trials = plan_trials(suite, "cpu", "cpu")
    return trials, plan_record(suite, "cpu", "cpu", trials)


@pytest.fixture(scope="module")
def trained_store(plan, tmp_path_factory):
    """A store with finished trials, a failed one, and others that did not run."""
    store = Store(tmp_path_factory.mktemp("results"))
    measure_floors([(p.trial.data, p.trial.device) for p in plan[0]], METRICS, "ganbench", store)
    arms = [p.trial for p in plan[0] if p.role == "trial" and not p.incompatibility]
    assert [run_trial(t, store, METRICS, lambda: False) for t in arms[:2]] == ["done", "done"]
    store.trial_folder(arms[2].id).new_attempt().record_end("failed", "boom")
    return store


@pytest.fixture
def collected(plan, trained_store):
    return collect_rows(plan[1], trained_store)


def trial_outcomes(rows: pd.DataFrame) -> set[tuple[object, ...]]:
    """Returns tricks, seed and outcome of each trial."""
    trials = rows[rows["role"] == "trial"].fillna({"outcome": "not run", "reason": ""})
    return set(trials[["tricks", "seed", "outcome"]].itertuples(index=False, name=None))


def test_planned_trials_have_rows_without_values(plan, tmp_path):
    rows = collect_rows(plan[1], Store(tmp_path))
    assert {outcome for _, _, outcome in trial_outcomes(rows)} == {"not run", "not_applicable"}
    assert rows["value"].isna().all()
    quality = rows[(rows["role"] == "trial") & (rows["kind"] == "quality")]
    assert len(quality) == 3 * 2 * len(METRICS) * 2


def test_every_planned_trial_has_rows(collected):
    assert trial_outcomes(collected) == {
        ("none", 0, "done"),
        ("r1", 0, "done"),
        ("label_smoothing", 0, "not_applicable"),
        ("none", 1, "failed"),
        ("r1", 1, "not run"),
        ("label_smoothing", 1, "not_applicable"),
    }
    assert set(collected[collected["outcome"] == "failed"]["reason"]) == {"boom"}
    objections = set(collected[collected["outcome"] == "not_applicable"]["reason"])
    assert len(objections) == 1
    assert "targets" in objections.pop()


def test_only_done_trials_have_values(collected):
    trials = collected[collected["role"] == "trial"]
    ends = trials[trials["kind"] != "curve"]
    valued = ends.groupby("outcome", dropna=False)["value"].count()
    assert valued["done"] == 2 * (2 * len(METRICS) + len(COST_UNITS))
    assert valued.drop("done").sum() == 0
    floors = collected[collected["role"] == "floor"]
    assert floors["metric"].tolist() == list(METRICS)
    assert floors["value"].notna().all()


def test_curve_rows_have_cost_at_each_score(plan, trained_store, collected):
    trial = next(p.trial for p in plan[0] if p.role == "trial")
    scores = read_json(trained_store.trial_folder(trial.id).curve_path)["scores"]
    rows = collected[(collected["trial"] == trial.id[:16]) & (collected["kind"] == "curve")]
    fid_rows = rows[rows["metric"] == "fid"]
    assert fid_rows["value"].tolist() == [score["fid"] for score in scores]
    for spent in ("step", "images", "seconds", "generator_turns"):
        assert fid_rows[spent].tolist() == [score[spent] for score in scores]
    assert fid_rows["checkpoint"].isna().all()
    assert set(rows["metric"]) == {"fid", *DATA.make(trial.data).watch}


def test_values_equal_the_store(plan, trained_store, collected):
    trial = next(p.trial for p in plan[0] if p.role == "trial")
    (protocol,) = plan[1]["protocols"]
    stored = read_json(trained_store.trial_folder(trial.id).scores_path(protocol, "last"))[
        "metrics"
    ]["fid"]
    chosen = (collected["trial"] == trial.id[:16]) & (collected["metric"] == "fid")
    entry = collected[chosen & (collected["checkpoint"] == "last")].iloc[0]
    assert (entry["value"], entry["protocol"]) == (stored["value"], protocol)
    facts = plan[1]["protocols"][protocol]
    assert (entry["fakes"], entry["reals"]) == (facts["fake"], facts["real"])
    assert entry["generator_turns"] == 2


def test_columns_equal_the_schema(collected):
    assert list(collected.columns) == list(ROW_FIELDS)
    assert pa.Schema.from_pandas(collected, preserve_index=False).names == ROW_SCHEMA.names


def test_rows_survive_parquet(collected, tmp_path):
    save_rows(collected, tmp_path)
    loaded = ganbench.load(tmp_path)
    assert_frame_equal(loaded, collected)
    assert loaded.attrs == collected.attrs
    assert ganbench.load(str(tmp_path)).attrs["plan"]["suite"] == "tiny"


def test_parquet_file_has_fixed_schema(collected, tmp_path):
    save_rows(collected, tmp_path)
    assert pa.parquet.read_schema(tmp_path / "results.parquet").remove_metadata() == ROW_SCHEMA


def test_tables_from_parquet_equal_the_store(collected, tmp_path):
    save_rows(collected, tmp_path)
    loaded = ganbench.load(tmp_path)
    assert_frame_equal(leaderboard(loaded), leaderboard(collected))
    assert repr(trick_effects(loaded)) == repr(trick_effects(collected))


def test_results_of_later_version_are_rejected(collected, tmp_path):
    collected["schema_version"] = collected["schema_version"] + 1
    save_rows(collected, tmp_path)
    with pytest.raises(ValueError, match="later version of ganbench"):
        ganbench.load(tmp_path)


def test_first_version_loads_without_flags(collected, tmp_path):
    save_rows(collected, tmp_path)
    path = tmp_path / "results.parquet"
    table = pa.parquet.read_table(path)
    later = [name for name in table.column_names if name.endswith("_step")]
    pa.parquet.write_table(table.drop_columns(later), path)
    loaded = ganbench.load(tmp_path)
    assert len(later) == 4
    assert loaded[later].isna().all(axis=None)
    assert list(loaded.columns) == list(ROW_FIELDS)
    assert loaded.dtypes.equals(collected.dtypes)
    assert_frame_equal(leaderboard(loaded), leaderboard(collected))


@pytest.mark.parametrize("harm", ["none", "missing"])
def test_flags_come_from_readable_curve(plan, trained_store, tmp_path, harm):
    shutil.copytree(trained_store.root, tmp_path, dirs_exist_ok=True)
    trial = next(p.trial for p in plan[0] if p.role == "trial")
    curve, losses = (
        Store(tmp_path).trial_folder(trial.id).curve_path,
        [{"step": 50 * n} for n in range(1, 31)],
    )
    write_json(curve, {"losses": [row | {"told_apart": 1.0} for row in losses], "scores": []})
    if harm == "missing":
        curve.unlink()
    row_frame = collect_rows(plan[1], Store(tmp_path))
    own = row_frame["trial"] == trial.id[:16]
    flags = {tuple(flags_of(row).items()) for row in row_frame[own].itertuples()}
    assert flags == ({(("won", 50),)} if harm == "none" else {()})
    assert row_frame.loc[~own, "won_step"].isna().all()


def test_missing_results_name_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"results\.parquet does not exist: `ganbench run`"):
        ganbench.load(tmp_path)


@pytest.mark.parametrize("damaged", ["result", "exit"])
def test_corrupt_file_is_no_row(plan, tmp_path, damaged):
    store = Store(tmp_path)
    folder = store.trial_folder(next(p.trial.id for p in plan[0] if p.role == "trial"))
    attempt = folder.new_attempt()
    path = folder.result_path if damaged == "result" else attempt.folder / "exit.json"
    path.write_text('{"outcome": "do')
    with pytest.raises(CorruptFile, match=f"{path} is damaged"):
        collect_rows(plan[1], store)


# Effects by variant


def test_effects_by_variant_differ():
    rows = frame(
        *arms({"r1": 0.5}, variant="gan", cells=(1, 5)),
        *arms({"r1": 1.0}, variant="dcgan", cells=(1, 5), random=1),
    )
    effects = {effect.variant: effect for effect in effects_by_variant(rows)}
    assert effects["gan"].verdict == "helps"
    assert effects["gan"].low < 0.5 < effects["gan"].high
    assert effects["dcgan"].verdict != "helps"


def test_single_variant_has_no_separate_effects():
    assert effects_by_variant(frame(*arms({"r1": 0.5}))) == []


def test_equal_values_keep_mean_and_bounds():
    for transform in SCALES:
        interval = t_interval([0.0, 0.0, 0.0], transform)
        assert (interval.mean, interval.low, interval.high, interval.count) == (0, 0, 0, 3)
