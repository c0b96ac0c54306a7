"""Statistics recover planted effects, make few false claims, and equal other libraries."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import planted
import pytest
from planted import PUBLISHED
from planted_page import (
    FAMILY,
    HC3_INTERVAL,
    HC3_SCENARIO,
    WELCH_INTERVAL,
    compute_share_error,
    render_page,
)
from planted_scenarios import SCENARIOS
from synthetic_rows import arms, frame, row

from ganbench.analysis.contrasts import Estimate, background_tables, holm_correct
from ganbench.analysis.effects import estimate_effects, names_of_effects, outcome_rows
from ganbench.analysis.factors import main_effect_weights
from ganbench.analysis.interactions import all_interactions, pair_interactions
from ganbench.analysis.rates import failure_rates, wilson_interval

statsmodels = pytest.importorskip("statsmodels.api")
from statsmodels.stats.contingency_tables import mcnemar  # noqa: E402
from statsmodels.stats.multitest import multipletests  # noqa: E402
from statsmodels.stats.proportion import proportion_confint  # noqa: E402
from statsmodels.stats.weightstats import ttest_ind  # noqa: E402

SCENARIOS_BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
FACTORIAL_ARMS = ("none", "a", "b", "c", "a + b", "a + c", "b + c", "a + b + c")


# Planted effects


def published_table() -> pd.DataFrame:
    return pd.read_csv(PUBLISHED / "planted.csv")


def test_planted_effects_are_recovered_and_covered():
    claims = planted.collect_claims(SCENARIOS_BY_NAME["plain"], 40)
    bias = np.log(claims["ratio"] / claims["planted"]).groupby(claims["what"]).mean()
    assert bias.abs().max() < 0.015
    assert claims["planted"].between(claims["low"], claims["high"]).mean() > 0.88
    assert claims.groupby("what")["recovered"].mean()[["d", "e", "f"]].min() > 0.85


def test_planted_interactions_are_recovered():
    claims = planted.collect_claims(SCENARIOS_BY_NAME["interactions"], 12).groupby(["kind", "what"])
    for interaction in [("trick × loss", "a × hinge"), ("trick × variant", "b × gan")]:
        group = claims.get_group(interaction)
        assert np.log(group["ratio"] / group["planted"]).mean() == pytest.approx(0, abs=0.05)
        assert group["recovered"].mean() > 0.8


def test_no_effect_yields_few_false_claims():
    families = planted.summarize_families(
        planted.collect_claims(SCENARIOS_BY_NAME["nothing, three seeds"], 24)
    )
    assert families["wrong"].max() < 0.05 + 4 * compute_share_error(24)


def test_cancelling_tricks_show_only_an_interaction():
    claims = planted.collect_claims(replace(SCENARIOS_BY_NAME["factorial"], seeds=3), 10)
    together = claims[(claims["kind"] == "trick × trick") & (claims["what"] == "a × b")]
    assert together["recovered"].all()
    assert together["planted"].iloc[0] == pytest.approx(1 / 0.64)
    main = claims[(claims["kind"] == "effect") & claims["what"].isin(["a", "b"])]
    assert main["planted"].tolist() == pytest.approx([1.0] * len(main))
    assert main["wrong"].mean() < 0.25


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SCENARIOS_BY_NAME)
def test_published_table_is_reproduced(name):
    expected = published_table().query("scenario == @name").reset_index(drop=True)
    reproduced = planted.round_numbers(planted.summarize_scenario(SCENARIOS_BY_NAME[name]))
    pd.testing.assert_frame_equal(reproduced, expected, rtol=1e-3, check_dtype=False)


@pytest.mark.slow
@pytest.mark.parametrize(("cells", "seeds"), [(1, 3), (1, 5), (9, 3), (9, 5)])
def test_published_hc3_comparison_is_reproduced(cells, seeds):
    expected = (
        published_table().query("scenario == @HC3_SCENARIO").query(f"what == '{cells} × {seeds}'")
    )
    reproduced = planted.round_numbers(planted.compare_with_hc3(cells, seeds))
    assert reproduced["coverage"].tolist() == pytest.approx(expected["coverage"].tolist())


# The published page


def test_page_is_generated_from_its_table():
    assert render_page(published_table()) == (PUBLISHED / "README.md").read_text(encoding="utf-8")


def single_effects(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of single effects, without families and without the comparison with HC3."""
    return table[table["what"].ne(FAMILY) & table["scenario"].ne(HC3_SCENARIO)]


def test_published_rows_have_enough_grids():
    assert published_table()["grids"].min() >= 200


def test_published_estimates_are_unbiased():
    effects = single_effects(published_table()).query("kind != 'failures'")
    assert (effects["estimated"] / effects["planted"] - 1).abs().max() < 0.01


def test_published_intervals_reach_nominal_coverage():
    effects = single_effects(published_table())
    least = 0.95 - 3 * effects["grids"].map(compute_share_error)
    assert (effects["coverage"] >= least).all(), effects[effects["coverage"] < least]


def test_family_error_stays_below_holm_level():
    families = published_table().query("what == @FAMILY")
    most = 0.05 + 3 * families["grids"].map(compute_share_error)
    assert (families["wrong"] <= most).all(), families[families["wrong"] > most]
    assert {"effect", "failures", "trick × loss", "trick × data", "trick × trick"} <= set(
        families["kind"]
    )


def test_published_effects_rarely_have_the_wrong_sign():
    effects = single_effects(published_table()).query("planted != 1 and kind != 'failures'")
    assert effects["wrong"].max() <= 0.005


def test_smallest_effect_has_the_promised_power():
    smallest = published_table().query("scenario == 'as small as shown' and planted < 1")
    assert smallest["helps"].item() == pytest.approx(0.8, abs=3 * math.sqrt(0.16 / 200))


def test_welch_intervals_cover_like_hc3():
    coverage = (
        published_table()
        .query("scenario == @HC3_SCENARIO")
        .pivot(index="what", columns="kind", values="coverage")
    )
    error = (coverage - 0.95).abs()
    assert (
        error[WELCH_INTERVAL] <= error[HC3_INTERVAL] + 2 * compute_share_error(planted.HC3_GRIDS)
    ).all()
    assert coverage.min(axis=None) > 0.94


# Other libraries


def of_own_networks(rows: list[dict]) -> list[dict]:
    """Returns the rows with a variant for each cell: least squares take cells as independent."""
    return [{**row, "variant": row["plan"]} for row in rows]


def uneven_trials(paired: bool, **factors: float) -> pd.DataFrame:
    """Cells and arms of unequal noise, with one missing seed."""
    quiet = of_own_networks(arms(factors, seeds=4, cells=(1, 9), noise=0.05))
    loud = arms(factors, seeds=4, cells=(3,), noise=0.4, variant="dcgan", random=1)
    return frame(*quiet, *loud[1:], paired=paired)


def estimates(trials: pd.DataFrame) -> dict[str, Estimate]:
    values, paired = outcome_rows(trials), trials.attrs["plan"]["analysis"]["paired"]
    return {
        e.tricks: mean
        for e, mean in estimate_effects(values, names_of_effects(values), "log", paired)
    }


def least_squares(trials: pd.DataFrame, weights: dict[str, float], error: str):
    """Weighted arms, averaged over cells, in a model with one mean for each cell and arm."""
    rows = outcome_rows(trials).dropna(subset=["value"])
    cell = rows["variant"] + rows["plan"]
    means = pd.get_dummies(cell + "/" + rows["tricks"], dtype=float)
    fitted = statsmodels.OLS(np.log(rows["value"].to_numpy()), means.to_numpy())
    wanted = [weights.get(name.partition("/")[2], 0.0) / cell.nunique() for name in means]
    return fitted.fit(cov_type=error, use_t=True).t_test(wanted)


SINGLE_WEIGHTS = {"a": 1.0, "none": -1.0}
FACTORIAL_WEIGHTS = {"a": 0.5, "a + b": 0.5, "none": -0.5, "b": -0.5}


@pytest.mark.parametrize(
    "weights", [SINGLE_WEIGHTS, FACTORIAL_WEIGHTS], ids=["one at a time", "factorial"]
)
def test_unpaired_effects_equal_hc2_least_squares(weights):
    trials = uneven_trials(False, **{arm: 1.1 for arm in ("a", "b", *weights) if arm != "none"})
    estimate, expected = estimates(trials)["a"], least_squares(trials, weights, "HC2")
    assert estimate.mean == pytest.approx(expected.effect.item())
    assert estimate.error == pytest.approx(expected.sd.item())


def test_hc3_error_equals_scaled_hc2_error():
    rows = of_own_networks(arms({"a": 0.8}, seeds=3, cells=(1, 5)))
    trials = frame(*rows, paired=False)
    estimate, expected = estimates(trials)["a"], least_squares(trials, SINGLE_WEIGHTS, "HC3")
    assert expected.sd.item() == pytest.approx(estimate.error * math.sqrt(3 / 2))


def test_paired_effects_equal_seed_intercept_regression():
    trials = frame(*arms({"a": 0.8, "b": 1.0}, seeds=5, noise=0.3))
    rows = outcome_rows(trials)
    design = pd.get_dummies(rows[["tricks", "seed"]].astype(str), dtype=float)
    design = design.drop(columns="tricks_none")[rows["tricks"] != "b"]
    logs = np.log(rows["value"][rows["tricks"] != "b"].to_numpy())
    fitted = statsmodels.OLS(logs, design.drop(columns="tricks_b").to_numpy()).fit()
    estimate = estimates(trials)["a"]
    measured = (estimate.mean, estimate.error, estimate.freedom, estimate.p())
    expected = (fitted.params[0], fitted.bse[0], fitted.df_resid, fitted.pvalues[0])
    assert measured == pytest.approx(expected)


def test_interactions_equal_hc2_least_squares():
    trials = uneven_trials(False, **{"a": 0.8, "b": 0.9, "a + b": 1.0})
    weights = {"a + b": 1.0, "a": -1.0, "b": -1.0, "none": 1.0}
    ((*_, estimate, compared),) = pair_interactions(
        dict(background_tables(outcome_rows(trials), "log")), paired=False
    )
    expected = least_squares(trials, weights, "HC2")
    assert (estimate.mean, estimate.error) == pytest.approx(
        (expected.effect.item(), expected.sd.item())
    )
    assert len(compared) == 3


def test_unpaired_degrees_of_freedom_equal_welch():
    trials = frame(*arms({"a": 0.8}, seeds=6, noise=0.3)[1:], paired=False)
    logs = [np.log(trials.loc[trials["tricks"] == arm, "value"]) for arm in ("a", "none")]
    _, p, freedom = ttest_ind(*logs, usevar="unequal")
    estimate = estimates(trials)["a"]
    assert (estimate.p(), estimate.freedom) == pytest.approx((p, freedom))


def test_comparison_intervals_equal_statsmodels_hc3():
    grid = np.random.default_rng(0).normal(size=(3, 2, 4)) * [[[1.0], [3.0]]]
    trials = frame(
        *(
            row(arm, seed, math.exp(grid[cell, column, seed]), plan=str(cell))
            for cell in range(3)
            for column, arm in enumerate(("none", "a"))
            for seed in range(4)
        )
    )
    expected = least_squares(trials, SINGLE_WEIGHTS, "HC3")
    assert planted.compute_hc3_interval(grid) == pytest.approx(tuple(expected.conf_int()[0]))


def test_holm_equals_statsmodels():
    p = np.random.default_rng(0).uniform(size=12) ** 3
    assert holm_correct(p.tolist()) == pytest.approx(multipletests(p, method="holm")[1].tolist())


@pytest.mark.parametrize(("count", "total"), [(0, 5), (1, 3), (7, 40), (12, 12)])
def test_wilson_intervals_equal_statsmodels(count, total):
    expected = proportion_confint(count, total, method="wilson")
    assert wilson_interval(count, total) == pytest.approx(expected)


def test_failure_comparison_equals_exact_mcnemar():
    random = np.random.default_rng(0)
    failed = random.random((30, 2)) < [0.1, 0.5]
    trials = frame(
        *(
            row(arm, seed, None if failed[seed, column] else 1.0)
            for seed in range(30)
            for column, arm in enumerate(("none", "a"))
        )
    )
    (comparison,) = [
        rate for rate in failure_rates(trials) if rate.tricks == "a" and rate.what == "failed"
    ]
    counts = pd.crosstab(failed[:, 0], failed[:, 1])
    assert comparison.p == pytest.approx(mcnemar(counts, exact=True).pvalue)
    assert (comparison.fewer, comparison.more) == (counts.loc[True, False], counts.loc[False, True])


# Where arms are missing


@pytest.mark.parametrize("missing", FACTORIAL_ARMS)
def test_missing_arm_weights_equal_pairwise_model(missing):
    """The reference is a least-squares fit, at the mean of the other tricks' levels."""
    measured = [arm for arm in FACTORIAL_ARMS if arm != missing]
    table = pd.DataFrame([{t: int(t in arm.split(" + ")) for t in "abc"} for arm in measured])
    table["y"] = np.random.default_rng(0).normal(size=len(measured))
    fitted = statsmodels.OLS.from_formula("y ~ (a + b + c) ** 2", table).fit()
    expected = fitted.params["a"] + (fitted.params["a:b"] + fitted.params["a:c"]) / 2
    weights = main_effect_weights(FACTORIAL_ARMS, "a", measured)
    effect = sum(weights.get(arm, 0) * y for arm, y in zip(measured, table["y"], strict=True))
    assert effect == pytest.approx(expected)


def test_too_many_missing_arms_give_no_effect():
    without_both = [arm for arm in FACTORIAL_ARMS if arm not in ("a + b", "a + b + c")]
    assert main_effect_weights(FACTORIAL_ARMS, "a", without_both) is None
    assert main_effect_weights(FACTORIAL_ARMS, "c", [*without_both, "a + b"]) is not None


def test_missing_arm_leaves_other_tricks_unchanged():
    assert main_effect_weights(("none", "a", "b"), "a", ("none", "a")) == SINGLE_WEIGHTS
    assert main_effect_weights(("none", "a", "b"), "a", ("a", "b")) is None


def test_missing_arm_interaction_is_no_main_effect():
    """a and b cancel, and one cell lacks an arm."""
    ratios = SCENARIOS_BY_NAME["factorial"].ratios
    trials = [r for loss in ("hinge", "minimax") for r in arms(ratios, noise=1e-6, loss=loss)]
    for trial in trials:
        if (trial["loss"], trial["tricks"]) == ("hinge", "a + b"):
            trial.update(value=None, outcome="failed")
    effects = {trick: math.exp(mean.mean) for trick, mean in estimates(frame(*trials)).items()}
    assert effects == pytest.approx({"a": 1.0, "b": 1.0, "c": 0.9}, rel=1e-4)
    interactions = [i.ratio for i in all_interactions(frame(*trials)) if i.kind == "trick × loss"]
    assert interactions == pytest.approx([1.0] * 3, rel=1e-4)
