"""The statistics: what is planted comes back, nothing comes of nothing, and other libraries agree."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import planted
import pytest
from planted import ANY, HC3, PLANTED, SCENARIOS
from synthetic_rows import arms, frame, row

from ganbench.analysis.contrasts import Estimate, cell_tables, holm_correct
from ganbench.analysis.effects import estimate_effects, names_of_effects, outcome_rows
from ganbench.analysis.factors import main_effect_weights
from ganbench.analysis.interactions import all_interactions, pair_interactions
from ganbench.analysis.rates import failure_rates, wilson_interval

statsmodels = pytest.importorskip("statsmodels.api")
from statsmodels.stats.contingency_tables import mcnemar  # noqa: E402
from statsmodels.stats.multitest import multipletests  # noqa: E402
from statsmodels.stats.proportion import proportion_confint  # noqa: E402
from statsmodels.stats.weightstats import ttest_ind  # noqa: E402

NAMED = {scenario.name: scenario for scenario in SCENARIOS}
FACTORIAL = ("none", "a", "b", "c", "a + b", "a + c", "b + c", "a + b + c")


# Planted effects


def published() -> pd.DataFrame:
    return pd.read_csv(PLANTED / "planted.csv")


def test_planted_effects_come_back_and_are_covered():
    found = planted.readings(NAMED["plain"], 40)
    off = np.log(found["ratio"] / found["planted"]).groupby(found["what"]).mean()
    assert off.abs().max() < 0.015
    assert found["planted"].between(found["low"], found["high"]).mean() > 0.88
    assert found.groupby("what")["recovered"].mean()[["d", "e", "f"]].min() > 0.85


def test_an_interaction_is_found_where_it_was_planted():
    found = planted.readings(NAMED["interactions"], 12).groupby(["kind", "what"])
    for place in [("trick × loss", "a × hinge"), ("trick × variant", "b × gan")]:
        entry = found.get_group(place)
        assert np.log(entry["ratio"] / entry["planted"]).mean() == pytest.approx(0, abs=0.05)
        assert entry["recovered"].mean() > 0.8


def test_of_nothing_comes_nothing():
    found = planted.families(planted.readings(NAMED["nothing, three seeds"], 24))
    assert found["wrong"].max() < 0.05 + 4 * planted.chance(24)


def test_tricks_that_cancel_have_no_main_effect_and_an_interaction():
    found = planted.readings(replace(NAMED["factorial"], seeds=3), 10)
    together = found[(found["kind"] == "trick × trick") & (found["what"] == "a × b")]
    assert together["recovered"].all()
    assert together["planted"].iloc[0] == pytest.approx(1 / 0.64)
    main = found[(found["kind"] == "effect") & found["what"].isin(["a", "b"])]
    assert main["planted"].tolist() == pytest.approx([1.0] * len(main))
    assert main["wrong"].mean() < 0.25


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", NAMED)
def test_the_published_table_is_what_the_analysis_finds_now(name):
    known = published().query("scenario == @name").reset_index(drop=True)
    found = planted.rounded(planted.table(NAMED[name]))
    pd.testing.assert_frame_equal(found, known, rtol=1e-3, check_dtype=False)


@pytest.mark.slow
@pytest.mark.parametrize(("cells", "seeds"), [(1, 3), (1, 5), (9, 3), (9, 5)])
def test_the_published_comparison_of_intervals_is_what_comes_now(cells, seeds):
    known = published().query("scenario == @HC3").query(f"what == '{cells} × {seeds}'")
    found = planted.rounded(planted.beside_hc3(cells, seeds))
    assert found["coverage"].tolist() == pytest.approx(known["coverage"].tolist())


# What the page says


def test_the_page_is_made_of_its_table():
    assert planted.page(published()) == (PLANTED / "README.md").read_text(encoding="utf-8")


def rows_of(found: pd.DataFrame) -> pd.DataFrame:
    """Those of something planted, or of everything else of its kind."""
    return found[found["what"].ne(ANY) & found["scenario"].ne(HC3)]


def test_every_row_is_of_at_least_two_hundred_grids():
    assert published()["grids"].min() >= 200


def test_published_estimates_are_unbiased():
    found = rows_of(published()).query("kind != 'failures'")
    assert (found["estimated"] / found["planted"] - 1).abs().max() < 0.01


def test_published_intervals_cover_as_often_as_they_say():
    found = rows_of(published())
    least = 0.95 - 3 * found["grids"].map(planted.chance)
    assert (found["coverage"] >= least).all(), found[found["coverage"] < least]


def test_no_family_has_more_false_claims_than_holm_promises():
    found = published().query("what == @ANY")
    most = 0.05 + 3 * found["grids"].map(planted.chance)
    assert (found["wrong"] <= most).all(), found[found["wrong"] > most]
    assert {"effect", "failures", "trick × loss", "trick × data", "trick × trick"} <= set(
        found["kind"]
    )


def test_nothing_published_is_called_the_wrong_way_round():
    found = rows_of(published()).query("planted != 1 and kind != 'failures'")
    assert found["wrong"].max() == 0


def test_an_effect_as_small_as_shown_is_shown_as_often_as_promised():
    found = published().query("scenario == 'as small as shown' and planted < 1")
    assert found["helps"].item() == pytest.approx(0.8, abs=3 * math.sqrt(0.16 / 200))


def test_our_intervals_cover_as_well_as_hc3s():
    found = (
        published().query("scenario == @HC3").pivot(index="what", columns="kind", values="coverage")
    )
    off = (found - 0.95).abs()
    assert (off[planted.OURS] <= off[planted.THEIRS] + 2 * planted.chance(4000)).all()
    assert found.min(axis=None) > 0.94


# Other libraries


def uneven(paired: bool, **factors: float) -> pd.DataFrame:
    """Cells and arms of unequal noise, and one lost seed."""
    quiet = arms(factors, seeds=4, cells=(1, 9), noise=0.05)
    loud = arms(factors, seeds=4, cells=(3,), noise=0.4, variant="dcgan", random=1)
    return frame(*quiet, *loud[1:], paired=paired)


def estimates(made: pd.DataFrame) -> dict[str, Estimate]:
    values, paired = outcome_rows(made), made.attrs["plan"]["analysis"]["paired"]
    return {
        e.tricks: mean
        for e, mean in estimate_effects(values, names_of_effects(values), "log", paired)
    }


def least_squares(made: pd.DataFrame, weights: dict[str, float], error: str):
    """Arms by their weights, averaged over cells, in a model with a mean for every cell and arm."""
    rows = outcome_rows(made).dropna(subset=["value"])
    cell = rows["variant"] + rows["plan"]
    means = pd.get_dummies(cell + "/" + rows["tricks"], dtype=float)
    fitted = statsmodels.OLS(np.log(rows["value"].to_numpy()), means.to_numpy())
    wanted = [weights.get(name.partition("/")[2], 0.0) / cell.nunique() for name in means]
    return fitted.fit(cov_type=error, use_t=True).t_test(wanted)


SINGLE = {"a": 1.0, "none": -1.0}
MAIN = {"a": 0.5, "a + b": 0.5, "none": -0.5, "b": -0.5}


@pytest.mark.parametrize("weights", [SINGLE, MAIN], ids=["one at a time", "factorial"])
def test_unpaired_effects_and_their_errors_are_those_of_least_squares_with_hc2(weights):
    made = uneven(False, **{arm: 1.1 for arm in ("a", "b", *weights) if arm != "none"})
    found, expected = estimates(made)["a"], least_squares(made, weights, "HC2")
    assert found.mean == pytest.approx(expected.effect.item())
    assert found.error == pytest.approx(expected.sd.item())


def test_hc3s_error_is_larger_by_what_one_seed_more_or_less_makes():
    made = frame(*arms({"a": 0.8}, seeds=3, cells=(1, 5)), paired=False)
    found, expected = estimates(made)["a"], least_squares(made, SINGLE, "HC3")
    assert expected.sd.item() == pytest.approx(found.error * math.sqrt(3 / 2))


def test_paired_effects_are_those_of_least_squares_with_an_intercept_for_every_seed():
    made = frame(*arms({"a": 0.8, "b": 1.0}, seeds=5, noise=0.3))
    rows = outcome_rows(made)
    design = pd.get_dummies(rows[["tricks", "seed"]].astype(str), dtype=float)
    design = design.drop(columns="tricks_none")[rows["tricks"] != "b"]
    logs = np.log(rows["value"][rows["tricks"] != "b"].to_numpy())
    expected = statsmodels.OLS(logs, design.drop(columns="tricks_b").to_numpy()).fit()
    found = estimates(made)["a"]
    told = (found.mean, found.error, found.freedom, found.p())
    known = (expected.params[0], expected.bse[0], expected.df_resid, expected.pvalues[0])
    assert told == pytest.approx(known)


def test_an_interaction_and_its_error_are_those_of_least_squares_with_hc2():
    made = uneven(False, **{"a": 0.8, "b": 0.9, "a + b": 1.0})
    weights = {"a + b": 1.0, "a": -1.0, "b": -1.0, "none": 1.0}
    ((*_, found, cells),) = pair_interactions(
        dict(cell_tables(outcome_rows(made), "log")), paired=False
    )
    expected = least_squares(made, weights, "HC2")
    assert (found.mean, found.error) == pytest.approx((expected.effect.item(), expected.sd.item()))
    assert cells == 3


def test_the_freedom_of_unpaired_arms_is_welchs():
    made = frame(*arms({"a": 0.8}, seeds=6, noise=0.3)[1:], paired=False)
    logs = [np.log(made.loc[made["tricks"] == arm, "value"]) for arm in ("a", "none")]
    _, p, freedom = ttest_ind(*logs, usevar="unequal")
    found = estimates(made)["a"]
    assert (found.p(), found.freedom) == pytest.approx((p, freedom))


def test_the_intervals_of_the_comparison_are_hc3s():
    grid = np.random.default_rng(0).normal(size=(3, 2, 4)) * [[[1.0], [3.0]]]
    made = frame(
        *(
            row(arm, seed, math.exp(grid[cell, place, seed]), plan=str(cell))
            for cell in range(3)
            for place, arm in enumerate(("none", "a"))
            for seed in range(4)
        )
    )
    expected = least_squares(made, SINGLE, "HC3")
    assert planted.hc3(grid) == pytest.approx(tuple(expected.conf_int()[0]))


def test_holm_is_statsmodels_holm():
    p = np.random.default_rng(0).uniform(size=12) ** 3
    assert holm_correct(p.tolist()) == pytest.approx(multipletests(p, method="holm")[1].tolist())


@pytest.mark.parametrize(("count", "total"), [(0, 5), (1, 3), (7, 40), (12, 12)])
def test_shares_have_statsmodels_wilson_intervals(count, total):
    expected = proportion_confint(count, total, method="wilson")
    assert wilson_interval(count, total) == pytest.approx(expected)


def test_failures_are_compared_by_statsmodels_exact_mcnemar():
    random = np.random.default_rng(0)
    broken = random.random((30, 2)) < [0.1, 0.5]
    made = frame(
        *(
            row(arm, seed, None if broken[seed, place] else 1.0)
            for seed in range(30)
            for place, arm in enumerate(("none", "a"))
        )
    )
    (found,) = [
        rate for rate in failure_rates(made) if rate.tricks == "a" and rate.what == "failed"
    ]
    counts = pd.crosstab(broken[:, 0], broken[:, 1])
    assert found.p == pytest.approx(mcnemar(counts, exact=True).pvalue)
    assert (found.fewer, found.more) == (counts.loc[True, False], counts.loc[False, True])


# Where arms are missing


@pytest.mark.parametrize("missing", FACTORIAL)
def test_where_an_arm_is_missing_effects_are_those_of_a_model_with_all_pairs(missing):
    """Of least squares, the effect in the middle of the others' levels."""
    measured = [arm for arm in FACTORIAL if arm != missing]
    table = pd.DataFrame([{t: int(t in arm.split(" + ")) for t in "abc"} for arm in measured])
    table["y"] = np.random.default_rng(0).normal(size=len(measured))
    fitted = statsmodels.OLS.from_formula("y ~ (a + b + c) ** 2", table).fit()
    expected = fitted.params["a"] + (fitted.params["a:b"] + fitted.params["a:c"]) / 2
    weights = main_effect_weights(FACTORIAL, "a", measured)
    found = sum(weights.get(arm, 0) * y for arm, y in zip(measured, table["y"], strict=True))
    assert found == pytest.approx(expected)


def test_a_cell_that_lacks_too_many_arms_tells_no_main_effect():
    without_both = [arm for arm in FACTORIAL if arm not in ("a + b", "a + b + c")]
    assert main_effect_weights(FACTORIAL, "a", without_both) is None
    assert main_effect_weights(FACTORIAL, "c", [*without_both, "a + b"]) is not None


def test_a_missing_arm_of_one_trick_takes_nothing_from_the_others():
    assert main_effect_weights(("none", "a", "b"), "a", ("none", "a")) == SINGLE
    assert main_effect_weights(("none", "a", "b"), "a", ("a", "b")) is None


def test_where_an_arm_is_missing_an_interaction_does_not_pass_for_an_effect():
    """a and b cancel; one cell lacks an arm."""
    ratios = NAMED["factorial"].ratios
    made = [r for loss in ("hinge", "minimax") for r in arms(ratios, noise=1e-6, loss=loss)]
    for lost in made:
        if (lost["loss"], lost["tricks"]) == ("hinge", "a + b"):
            lost.update(value=None, outcome="failed")
    found = {trick: math.exp(mean.mean) for trick, mean in estimates(frame(*made)).items()}
    assert found == pytest.approx({"a": 1.0, "b": 1.0, "c": 0.9}, rel=1e-4)
    places = [i.ratio for i in all_interactions(frame(*made)) if i.kind == "trick × loss"]
    assert places == pytest.approx([1.0] * 3, rel=1e-4)
