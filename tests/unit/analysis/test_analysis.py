"""The analysis: intervals, effects, the leaderboard, and the rows that all of it is made from."""

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
from ganbench.analysis.contrasts import Change, arm_difference, combine_changes, holm_correct
from ganbench.analysis.effects import chain_effects, effects_by_variant, trick_effects
from ganbench.analysis.intervals import SCALES, t_interval
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
from ganbench.experiments.plan import plan_record, plan_trials
from ganbench.experiments.run_trial import run_trial
from ganbench.experiments.runner import measure_floors
from ganbench.experiments.store import Store
from ganbench.experiments.suite import Suite
from ganbench.files import read_json, write_json


def only(made: pd.DataFrame):
    (effect,) = trick_effects(made)
    return effect


# Intervals


def test_an_interval_on_the_plain_scale_is_students():
    values = [1.0, 2.0, 4.0, 9.0]
    found = t_interval(values)
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (found.mean, found.low, found.high) == pytest.approx((4.0, low, high))
    assert found.count == 4


def test_an_interval_of_two_values_computed_by_hand():
    found = t_interval([1.0, 3.0])  # mean 2, standard error 1, t(0.975, 1) = 12.7062
    assert (found.low, found.high) == pytest.approx((2 - 12.7062, 2 + 12.7062), abs=1e-4)


def test_on_a_log_scale_the_mean_is_geometric_and_the_interval_a_ratio():
    found = t_interval([1.0, math.e**2], "log")
    assert found.mean == pytest.approx(math.e)
    assert found.high / found.mean == pytest.approx(math.exp(12.7062), rel=1e-4)
    assert found.mean / found.low == pytest.approx(math.exp(12.7062), rel=1e-4)


def test_on_a_logit_scale_the_interval_stays_a_share():
    values = [0.2, 0.5, 0.8, 0.9]
    found = t_interval(values, "logit")
    there = np.log(np.array(values) / (1 - np.array(values)))
    low, high = stats.t.interval(0.95, 3, loc=there.mean(), scale=stats.sem(there))
    expected = [1 / (1 + math.exp(-x)) for x in (there.mean(), low, high)]
    assert [found.mean, found.low, found.high] == pytest.approx(expected)
    assert 0 < found.low < found.mean < found.high < 1


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_an_interval_holds_the_mean_as_often_as_it_says(level):
    rng = np.random.default_rng(0)
    found = [t_interval(rng.normal(3, 1, 4).tolist(), level=level) for _ in range(1000)]
    share = sum(interval.low < 3 < interval.high for interval in found) / len(found)
    assert share == pytest.approx(level, abs=3.5 * math.sqrt(level * (1 - level) / 1000))


@pytest.mark.parametrize("transform", SCALES)
def test_one_value_has_no_interval_and_none_no_mean(transform):
    one, none = t_interval([0.5], transform), t_interval([], transform)
    assert (one.mean, one.count) == (pytest.approx(0.5), 1)
    assert all(map(math.isnan, (one.low, one.high, none.mean, none.low, none.high)))
    assert none.count == 0


@pytest.mark.parametrize(("transform", "edges"), [("log", [0.0]), ("logit", [0.0, 1.0])])
def test_values_at_the_edge_of_a_scale_give_finite_numbers(transform, edges):
    found = t_interval([*edges, 0.5, 0.6], transform)
    assert all(map(math.isfinite, (found.mean, found.low, found.high)))


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
def test_holm_by_hand(p, expected):
    assert holm_correct(p) == pytest.approx(expected)


def test_holm_is_the_largest_step_so_far():
    p = np.random.default_rng(0).uniform(size=9)
    expected = [min(1, max((9 - sum(p < q)) * q for q in p if q <= own)) for own in p]
    assert holm_correct(p.tolist()) == pytest.approx(expected)


def test_what_has_no_p_keeps_none_and_costs_the_others_nothing():
    found = holm_correct([math.nan, 0.01, math.nan, 0.04])
    assert found[1::2] == pytest.approx([0.02, 0.04])
    assert all(map(math.isnan, found[::2]))


# Effects


def test_a_planted_effect_is_found_with_its_sign_inside_its_interval():
    found = only(frame(*arms({"r1": 0.7}, cells=(1, 5, 20, 100))))
    assert (found.tricks, found.verdict) == ("r1", "helps")
    assert found.low < 0.7 < found.high < 1
    assert (found.pairs, found.cells, found.lost) == (20, 4, 0)


@pytest.mark.parametrize(
    ("outcome", "factor", "verdict"),
    [("fid", 0.7, "helps"), ("fid", 1.4, "harms"), ("is", 0.7, "harms"), ("is", 1.4, "helps")],
)
def test_the_direction_of_the_outcome_decides_what_helps(outcome, factor, verdict):
    made = frame(*arms({"r1": factor}, cells=(1, 5), metric=outcome), outcome=outcome)
    assert only(made).verdict == verdict


@pytest.mark.parametrize(("outcome", "verdict"), [("kid", "helps"), ("modes", "harms")])
def test_on_other_scales_the_effect_is_a_difference(outcome, verdict):
    values = {"none": [0.50, 0.52, 0.49, 0.51], "r1": [0.31, 0.30, 0.29, 0.33]}
    found = [row(t, s, v, metric=outcome) for t, vs in values.items() for s, v in enumerate(vs)]
    effect = only(frame(*found, outcome=outcome))
    there = {
        t: np.array([SCALES[FACTS[outcome]["transform"]].to(v) for v in values[t]]) for t in values
    }
    expected = stats.ttest_rel(there["r1"], there["none"])
    low, high = expected.confidence_interval()
    found = (effect.ratio, effect.low, effect.high, effect.p)
    mean = (there["r1"] - there["none"]).mean()
    assert found == pytest.approx((mean, low, high, expected.pvalue))
    assert effect.verdict == verdict


welch = partial(stats.ttest_ind, equal_var=False)


@pytest.mark.parametrize(("paired", "test"), [(True, stats.ttest_rel), (False, welch)])
def test_one_cell_agrees_with_scipys_t_test(paired, test):
    made = frame(*arms({"r1": 0.8}, seeds=6, noise=0.3), paired=paired)
    logs = [np.log(made[made["tricks"] == arm]["value"]) for arm in ("r1", "none")]
    expected, effect = test(*logs), only(made)
    low, high = np.exp(expected.confidence_interval())
    assert (effect.low, effect.high, effect.p) == pytest.approx((low, high, expected.pvalue))
    assert effect.ratio == pytest.approx(math.exp(logs[0].mean() - logs[1].mean()))


def test_two_cells_are_combined_as_welch_and_satterthwaite_say():
    trick, none = np.array([1.0, 2.0, 4.0]), np.array([0.5, 2.5, 2.0])
    other, others_none = np.array([5.0, 9.0]), np.array([4.0, 5.0])
    mean, low, high, p = combine_changes(
        [arm_difference(trick, none, True), arm_difference(other, others_none, True)]
    )
    first, second = np.var([0.5, -0.5, 2.0], ddof=1) / 3, np.var([1.0, 4.0], ddof=1) / 2
    freedom = (first + second) ** 2 / (first**2 / 2 + second**2 / 1)
    error = math.sqrt(first + second) / 2
    half = stats.t.ppf(0.975, freedom) * error
    expected = (2 / 3 + 2.5) / 2
    assert (mean, low, high) == pytest.approx((expected, expected - half, expected + half))
    assert p == pytest.approx(2 * stats.t.sf(expected / error, freedom))


def test_a_cell_of_one_pair_counts_as_much_as_others_and_borrows_their_error():
    known, single = Change(1.0, 0.02, 4, 5), Change(3.0, math.nan, 0, 1)
    mean, low, high, _ = combine_changes([known, single])
    half = stats.t.ppf(0.975, 4) * math.sqrt(0.12) / 2  # all that is known comes from one cell
    assert (mean, low, high) == pytest.approx((2.0, 2 - half, 2 + half))


@pytest.mark.parametrize("seeds", [(2, *[1] * 9), (2, 3), (3, 3, 3, 1), (5, 5)])
def test_where_there_is_no_effect_one_in_twenty_is_found_whatever_was_lost(seeds):
    rng = np.random.default_rng(0)
    draws = 2000
    found = [
        combine_changes(
            [arm_difference(rng.normal(size=n), rng.normal(size=n), True) for n in seeds]
        )[3]
        for _ in range(draws)
    ]
    assert np.mean(np.array(found) < 0.05) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / draws) + 0.01


def test_pairing_takes_out_what_seeds_share():
    seeds = np.random.default_rng(0).normal(size=6)
    found = [row(t, s, f * math.exp(x)) for t, f in {"none": 1, "r1": 0.7}.items()
             for s, x in enumerate(seeds)]  # fmt: skip
    noise = arms({"r1": 1.0}, seeds=6, noise=0.01)
    found = [{**f, "value": f["value"] * n["value"]} for f, n in zip(found, noise, strict=True)]
    paired, unpaired = only(frame(*found)), only(frame(*found, paired=False))
    assert paired.ratio == pytest.approx(unpaired.ratio)
    assert (paired.verdict, unpaired.verdict) == ("helps", "undecided")


def test_how_far_cells_lie_from_each_other_does_not_matter():
    close = only(frame(*arms({"r1": 0.9}, cells=(1, 1, 1))))
    apart = only(frame(*arms({"r1": 0.9}, cells=(0.01, 3, 10_000))))
    assert (apart.ratio, apart.low, apart.high) == pytest.approx(
        (close.ratio, close.low, close.high)
    )


@pytest.fixture(scope="module")
def nothing_planted():
    return [frame(*arms({"r1": 1.0}, seeds=4, random=n), equivalence=0) for n in range(200)]


@pytest.mark.parametrize("paired", [True, False])
def test_where_nothing_was_planted_something_is_found_as_rarely_as_stated(nothing_planted, paired):
    wrong = 0
    for made in nothing_planted:
        made.attrs["plan"]["analysis"]["paired"] = paired
        wrong += only(made).verdict != "undecided"
    assert 2 <= wrong <= 20  # 5 % of 200, give or take three standard deviations


def test_the_more_tricks_are_looked_at_the_surer_each_must_be():
    one = only(frame(*arms({"r1": 0.7})))
    same = frame(*arms({"r1": 0.7}), *more_tricks(4))
    found = {effect.tricks: effect for effect in trick_effects(same)}["r1"]
    assert found.p == pytest.approx(5 * one.p)
    assert (found.low, found.high) == (one.low, one.high)


def more_tricks(count: int):
    """Arms of as many tricks that do nothing."""
    made = arms({f"trick{n}": 1.0 for n in range(count)}, random=1)
    return [r for r in made if r["tricks"] != "none"]


def test_a_single_seed_has_no_interval_and_decides_nothing():
    found = only(frame(*arms({"r1": 0.1}, seeds=1, cells=(1, 5, 9))))
    assert (found.pairs, found.cells, found.verdict) == (3, 3, "undecided")
    assert all(map(math.isnan, (found.low, found.high, found.p)))
    assert 0.08 < found.ratio < 0.12


def test_the_same_change_in_every_seed_has_no_interval_either():
    found = only(frame(*arms({"r1": 0.5}, noise=0)))
    assert found.ratio == pytest.approx(0.5)
    assert found.verdict == "undecided"


@pytest.mark.parametrize("outcome", ["diverged", "failed"])
def test_arms_that_broke_are_counted_as_lost_and_not_averaged(outcome):
    broken = [row("r1", seed, outcome=outcome, plan="cell=0") for seed in (5, 6)]
    nones = [row("none", seed, 1.0, plan="cell=0") for seed in (5, 6)]
    intact = arms({"r1": 0.7})
    found, whole = only(frame(*intact, *broken, *nones)), only(frame(*intact))
    assert (found.lost, found.pairs) == (2, 5)
    assert (found.ratio, found.low) == (whole.ratio, whole.low)


def test_a_seed_that_broke_without_the_trick_too_is_not_lost_to_it():
    broken = [row(arm, 5, outcome="diverged", plan="cell=0") for arm in ("r1", "none")]
    assert only(frame(*arms({"r1": 0.7}), *broken)).lost == 0


def test_a_trick_that_broke_everywhere_is_told_with_what_it_lost():
    broken = [row("r1", seed, outcome="diverged") for seed in range(3)]
    found = only(frame(*broken, *(row("none", seed, 1.0 + seed) for seed in range(3))))
    assert (found.pairs, found.cells, found.lost, found.verdict) == (0, 0, 3, "undecided")
    assert math.isnan(found.ratio)


def test_cells_to_which_a_trick_does_not_apply_are_left_out():
    without = [row("r1", seed, outcome="not_applicable", plan="cell=1") for seed in range(5)]
    nones = [row("none", seed, 8.0, plan="cell=1") for seed in range(5)]
    found, same = only(frame(*arms({"r1": 0.7}), *without, *nones)), only(frame(*arms({"r1": 0.7})))
    assert found == same


def test_a_trick_that_applies_nowhere_has_no_effect():
    without = [row("ema", seed, outcome="not_applicable") for seed in range(3)]
    assert [e.tricks for e in trick_effects(frame(*arms({"r1": 0.7}), *without))] == ["r1"]


def test_only_the_outcome_of_trials_at_the_last_checkpoint_counts():
    made = arms({"r1": 0.7})
    others = [
        {**r, **changed, "value": 99.0 + r["seed"]}
        for r in made
        for changed in ({"checkpoint": "best"}, {"metric": "kid"}, {"role": "untrained"})
    ]
    assert only(frame(*made, *others, floor(0.1))) == only(frame(*made))


def test_a_chain_that_hides_its_tricks_is_one_treatment():
    found = trick_effects(frame(*arms({"r1": 0.7, "ema + ttur": 0.5})))
    assert [effect.tricks for effect in found] == ["r1", "ema + ttur"]


def test_in_a_factorial_a_trick_has_its_mean_over_the_backgrounds():
    made = frame(*arms({"r1": 0.7, "ema": 1.0, "ema + r1": 0.5}, noise=1e-6))
    found = {effect.tricks: effect for effect in trick_effects(made)}
    assert list(found) == ["r1", "ema"]
    assert found["r1"].ratio == pytest.approx(math.sqrt(0.7 * 0.5), rel=1e-4)
    assert found["ema"].ratio == pytest.approx(math.sqrt(1.0 * 0.5 / 0.7), rel=1e-4)
    (chain,) = chain_effects(made)
    assert (chain.tricks, chain.ratio) == ("ema + r1", pytest.approx(0.5, rel=1e-4))


@pytest.mark.parametrize(
    ("factor", "noise", "verdict"),
    [(1.0, 0.001, "equivalent"), (0.99, 0.001, "equivalent"), (1.0, 0.1, "undecided"),
     (0.9, 0.001, "helps"), (1.1, 0.001, "harms")],
)  # fmt: skip
def test_effects_within_the_declared_margin_count_as_none(factor, noise, verdict):
    assert only(frame(*arms({"r1": factor}, noise=noise))).verdict == verdict


# Leaderboard


def cells_of(board: pd.DataFrame) -> list[tuple[str, object]]:
    return [(r.loss, None if pd.isna(r.rank) else r.rank) for r in board.itertuples()]


def board_of(values: dict[str, float | None], outcome="fid", **plan) -> pd.DataFrame:
    found = [row(value=v, loss=loss, metric=outcome) for loss, v in values.items()]
    return leaderboard(frame(*found, outcome=outcome, **plan))


def test_the_lowest_is_first_where_lower_is_better():
    board = board_of({"hinge": 3.0, "minimax": 1.0, "wasserstein": 2.0})
    assert cells_of(board) == [("minimax", 1), ("wasserstein", 2), ("hinge", 3)]


@pytest.mark.parametrize("outcome", ["is", "modes"])
def test_the_highest_is_first_where_higher_is_better(outcome):
    board = board_of({"hinge": 0.3, "minimax": 0.1, "wasserstein": 0.2}, outcome)
    assert cells_of(board) == [("hinge", 1), ("wasserstein", 2), ("minimax", 3)]


def test_equal_cells_share_a_rank():
    board = board_of({"hinge": 1.0, "minimax": 1.0, "wasserstein": 2.0})
    assert cells_of(board) == [("hinge", 1), ("minimax", 1), ("wasserstein", 3)]


def test_ranks_begin_anew_for_each_data_set():
    values = (("hinge", 2.0), ("minimax", 1.0))
    found = [row(value=v, loss=loss, data=d) for d in ("digits", "ring") for loss, v in values]
    board = leaderboard(frame(*found))
    assert board["data"].tolist() == ["digits", "digits", "ring", "ring"]
    assert board["rank"].tolist() == [1, 2, 1, 2]


def test_references_stand_in_their_place_without_a_rank():
    untrained = row(value=90.0, role="untrained", loss="minimax")
    board = leaderboard(
        frame(row(value=100.0), row(value=2.0, loss="wasserstein"), untrained, floor(0.1))
    )
    assert board["role"].tolist() == ["floor", "trial", "untrained", "trial"]
    assert board["rank"].fillna(0).tolist() == [0, 1, 0, 2]


@pytest.mark.parametrize("outcome", ["fid", "is"])
def test_cells_without_a_value_are_last_and_say_why(outcome):
    names = dict(metric=outcome)
    without = row(loss="wasserstein", outcome="not_applicable", reason="no targets", **names)
    found = [row(value=3.0, **names), row(loss="minimax", reason="boom", **names), without]
    board = leaderboard(frame(*reversed(found), outcome=outcome))
    assert cells_of(board)[0] == ("hinge", 1)
    assert {rank for _, rank in cells_of(board)[1:]} == {None}
    told = board.set_index("loss")
    assert told["reason"].to_dict() == {"hinge": "", "minimax": "boom", "wasserstein": "no targets"}
    assert (told["diverged"]["minimax"], told["not_applicable"]["wasserstein"]) == (1, 1)


def test_a_cell_has_the_mean_and_interval_of_the_seeds_that_have_a_value():
    values = [1.0, 4.0, 9.0]
    found = [row(seed=s, value=v) for s, v in enumerate(values)] + [row(seed=3, reason="boom")]
    (entry,) = leaderboard(frame(*found)).to_dict("records")
    expected = t_interval(values, "log")
    assert (entry["fid"], entry["fid low"], entry["fid high"]) == pytest.approx(
        (expected.mean, expected.low, expected.high)
    )
    assert (entry["seeds"], entry["done"], entry["diverged"]) == (4, 3, 1)
    assert entry["reason"] == "boom"


def test_speed_is_the_median_of_the_cells_trials():
    cost = dict(metric="train_images_per_second", checkpoint=None, kind="cost")
    found = [
        r for s in range(3) for r in (row(seed=s, value=1.0), row(seed=s, value=10.0**s, **cost))
    ]
    (entry,) = leaderboard(frame(*found)).to_dict("records")
    assert entry["train_images_per_second"] == 10.0


def test_a_board_of_nothing_but_plans_has_no_ranks():
    board = leaderboard(frame(row(outcome="x"), row(outcome="x", loss="minimax"), floor(None)))
    assert board["rank"].isna().all()


# Rows

METRICS = ("fid", "modes")


@pytest.fixture(scope="module")
def plan():
    """What a small suite comes to: three arms of two seeds, one of which does not apply."""
    content = dict(
        schema=1, name="tiny", data=["ring"], metrics=list(METRICS), seeds=2, points=1,
        grid=[dict(variants=["gan(width=8)"], losses=["wasserstein"],
                   tricks=dict(chains=[[], ["r1"], ["label_smoothing"]]))],
        budget=dict(cpu=dict(generator_turns=2)),
    )  # fmt: skip
    suite = Suite.model_validate(content)
    found = plan_trials(suite, "cpu", "cpu")
    return found, plan_record(suite, "cpu", "cpu", found)


@pytest.fixture(scope="module")
def trained(plan, tmp_path_factory):
    """A store in which some trials ran, one failed, and others did not run."""
    store = Store(tmp_path_factory.mktemp("results"))
    measure_floors([(p.trial.data, p.trial.device) for p in plan[0]], METRICS, "ganbench", store)
    arms = [p.trial for p in plan[0] if p.role == "trial" and not p.incompatibility]
    assert [run_trial(t, store, METRICS, lambda: False) for t in arms[:2]] == ["done", "done"]
    store.trial_folder(arms[2].id).new_attempt().record_end("failed", "boom")
    return store


@pytest.fixture
def tidy(plan, trained):
    return collect_rows(plan[1], trained)


def seen(made: pd.DataFrame) -> set[tuple[object, ...]]:
    """What is told of each trial: whose it is and how it ended."""
    trials = made[made["role"] == "trial"].fillna({"outcome": "not run", "reason": ""})
    return set(trials[["tricks", "seed", "outcome"]].itertuples(index=False, name=None))


def test_a_plan_that_has_not_run_has_its_rows_without_outcome_or_value(plan, tmp_path):
    made = collect_rows(plan[1], Store(tmp_path))
    assert {outcome for _, _, outcome in seen(made)} == {"not run", "not_applicable"}
    assert made["value"].isna().all()
    quality = made[(made["role"] == "trial") & (made["kind"] == "quality")]
    assert len(quality) == 3 * 2 * len(METRICS) * 2


def test_every_planned_trial_has_its_rows_however_it_ended(tidy):
    assert seen(tidy) == {
        ("none", 0, "done"),
        ("r1", 0, "done"),
        ("label_smoothing", 0, "not_applicable"),
        ("none", 1, "failed"),
        ("r1", 1, "not run"),
        ("label_smoothing", 1, "not_applicable"),
    }
    assert set(tidy[tidy["outcome"] == "failed"]["reason"]) == {"boom"}
    objections = set(tidy[tidy["outcome"] == "not_applicable"]["reason"])
    assert len(objections) == 1
    assert "targets" in objections.pop()


def test_a_value_stands_where_a_trial_is_done_and_nowhere_else(tidy):
    trials = tidy[tidy["role"] == "trial"]
    ends = trials[trials["kind"] != "curve"]
    valued = ends.groupby("outcome", dropna=False)["value"].count()
    assert valued["done"] == 2 * (2 * len(METRICS) + len(COST_UNITS))
    assert valued.drop("done").sum() == 0
    floors = tidy[tidy["role"] == "floor"]
    assert floors["metric"].tolist() == list(METRICS)
    assert floors["value"].notna().all()


def test_a_curve_says_what_was_spent_at_each_score(plan, trained, tidy):
    trial = next(p.trial for p in plan[0] if p.role == "trial")
    scores = read_json(trained.trial_folder(trial.id).curve_path)["scores"]
    rows = tidy[(tidy["trial"] == trial.id[:16]) & (tidy["kind"] == "curve")]
    found = rows[rows["metric"] == "fid"]
    assert found["value"].tolist() == [score["fid"] for score in scores]
    for spent in ("step", "images", "seconds", "generator_turns"):
        assert found[spent].tolist() == [score[spent] for score in scores]
    assert found["checkpoint"].isna().all()
    assert set(rows["metric"]) == {"fid", *DATA.make(trial.data).watch}


def test_values_are_those_of_the_store_with_their_protocol_and_counts(plan, trained, tidy):
    trial = next(p.trial for p in plan[0] if p.role == "trial")
    (protocol,) = plan[1]["protocols"]
    stored = read_json(trained.trial_folder(trial.id).scores_path(protocol, "last"))["metrics"][
        "fid"
    ]
    chosen = (tidy["trial"] == trial.id[:16]) & (tidy["metric"] == "fid")
    found = tidy[chosen & (tidy["checkpoint"] == "last")].iloc[0]
    assert (found["value"], found["protocol"]) == (stored["value"], protocol)
    facts = plan[1]["protocols"][protocol]
    assert (found["fakes"], found["reals"]) == (facts["fake"], facts["real"])
    assert found["generator_turns"] == 2


def test_columns_are_those_of_the_schema(tidy):
    assert list(tidy.columns) == list(ROW_FIELDS)
    assert pa.Schema.from_pandas(tidy, preserve_index=False).names == ROW_SCHEMA.names


def test_rows_come_back_from_parquet_as_they_were(tidy, tmp_path):
    save_rows(tidy, tmp_path)
    found = ganbench.load(tmp_path)
    assert_frame_equal(found, tidy)
    assert found.attrs == tidy.attrs
    assert ganbench.load(str(tmp_path)).attrs["plan"]["suite"] == "tiny"


def test_the_parquet_file_has_the_fixed_schema(tidy, tmp_path):
    save_rows(tidy, tmp_path)
    assert pa.parquet.read_schema(tmp_path / "results.parquet").remove_metadata() == ROW_SCHEMA


def test_tables_made_from_the_parquet_file_are_those_of_the_store(tidy, tmp_path):
    save_rows(tidy, tmp_path)
    found = ganbench.load(tmp_path)
    assert_frame_equal(leaderboard(found), leaderboard(tidy))
    assert repr(trick_effects(found)) == repr(trick_effects(tidy))


def test_results_of_a_later_version_are_not_read(tidy, tmp_path):
    tidy["schema_version"] = tidy["schema_version"] + 1
    save_rows(tidy, tmp_path)
    with pytest.raises(ValueError, match="later version of ganbench"):
        ganbench.load(tmp_path)


def test_results_of_the_first_version_are_read_without_the_flags_that_it_did_not_have(
    tidy, tmp_path
):
    save_rows(tidy, tmp_path)
    path = tmp_path / "results.parquet"
    table = pa.parquet.read_table(path)
    later = [name for name in table.column_names if name.endswith("_step")]
    pa.parquet.write_table(table.drop_columns(later), path)
    found = ganbench.load(tmp_path)
    assert len(later) == 4
    assert found[later].isna().all(axis=None)
    assert list(found.columns) == list(ROW_FIELDS)
    assert found.dtypes.equals(tidy.dtypes)
    assert_frame_equal(leaderboard(found), leaderboard(tidy))


@pytest.mark.parametrize("harm", ["none", "damaged", "missing"])
def test_a_trial_has_the_flags_of_its_curve_if_that_can_be_read(plan, trained, tmp_path, harm):
    shutil.copytree(trained.root, tmp_path, dirs_exist_ok=True)
    trial = next(p.trial for p in plan[0] if p.role == "trial")
    curve, losses = (
        Store(tmp_path).trial_folder(trial.id).curve_path,
        [{"step": 50 * n} for n in range(1, 31)],
    )
    write_json(curve, {"losses": [row | {"told_apart": 1.0} for row in losses], "scores": []})
    if harm == "damaged":
        curve.write_text("{")
    if harm == "missing":
        curve.unlink()
    made = collect_rows(plan[1], Store(tmp_path))
    own = made["trial"] == trial.id[:16]
    found = {tuple(flags_of(row).items()) for row in made[own].itertuples()}
    assert found == ({(("won", 50),)} if harm == "none" else {()})
    assert made.loc[~own, "won_step"].isna().all()


def test_a_folder_without_results_is_told_with_what_makes_them(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"results\.parquet does not exist: `ganbench run`"):
        ganbench.load(tmp_path)


@pytest.mark.parametrize("damaged", ["result", "exit"])
def test_a_damaged_file_makes_its_trial_as_if_not_run(plan, tmp_path, damaged):
    store = Store(tmp_path)
    folder = store.trial_folder(next(p.trial.id for p in plan[0] if p.role == "trial"))
    attempt = folder.new_attempt()
    path = folder.result_path if damaged == "result" else attempt.folder / "exit.json"
    path.write_text('{"outcome": "do')
    assert ("none", 0, "not run") in seen(collect_rows(plan[1], store))


# Where an effect is


def test_an_effect_that_one_variant_has_and_another_has_not_is_told_apart():
    made = frame(
        *arms({"r1": 0.5}, variant="gan", cells=(1, 5)),
        *arms({"r1": 1.0}, variant="dcgan", cells=(1, 5), random=1),
    )
    found = {effect.variant: effect for effect in effects_by_variant(made)}
    assert found["gan"].verdict == "helps"
    assert found["gan"].low < 0.5 < found["gan"].high
    assert found["dcgan"].verdict != "helps"


def test_within_a_single_variant_nothing_is_said_twice():
    assert effects_by_variant(frame(*arms({"r1": 0.5}))) == []


def test_values_that_are_all_the_same_are_shown_as_they_are():
    for transform in SCALES:
        found = t_interval([0.0, 0.0, 0.0], transform)
        assert (found.mean, found.low, found.high, found.count) == (0, 0, 0, 3)
