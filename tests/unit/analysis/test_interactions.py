"""Factors, interactions, rates and ties against manual calculations and planted effects."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from synthetic_rows import arms, frame, row

from ganbench.analysis.contrasts import background_tables, contrast_on_background, estimate_contrast
from ganbench.analysis.effects import effects_by_loss, outcome_rows, trick_effects
from ganbench.analysis.factors import interaction_weights, main_effect_weights
from ganbench.analysis.interactions import all_interactions
from ganbench.analysis.leaderboard import leaderboard
from ganbench.analysis.rates import failure_rates, randomization_test, wilson_interval

FULL = ("none", "a", "b", "a + b")


def all_arms(tricks):
    sizes = range(len(tricks) + 1)
    return [" + ".join(c) or "none" for n in sizes for c in itertools.combinations(tricks, n)]


# Factors


def test_single_trick_effect_is_difference_to_none():
    assert main_effect_weights(("none", "a", "b"), "a") == pytest.approx({"a": 1, "none": -1})


def test_factorial_weights_average_over_backgrounds():
    expected = {"none": -0.5, "a": 0.5, "b": -0.5, "a + b": 0.5}
    assert main_effect_weights(FULL, "a") == pytest.approx(expected)
    assert interaction_weights(FULL, ("a", "b")) == pytest.approx(
        {"none": 1, "a": -1, "b": -1, "a + b": 1}
    )


def test_jointly_tried_tricks_have_no_own_effect():
    assert main_effect_weights(("none", "a + b"), "a") is None
    assert main_effect_weights(("none", "a", "a + b"), "b") == pytest.approx({"a + b": 1, "a": -1})
    assert main_effect_weights(("a", "a + b"), "a") is None
    assert main_effect_weights(("none", "a"), "c") is None


def test_aliased_interactions_have_no_weights():
    half = ("none", "a + b", "a + c", "b + c", "a + d", "b + d", "c + d", "a + b + c + d")
    for trick in "abcd":
        assert main_effect_weights(half, trick)
    for pair in itertools.combinations("abcd", 2):
        assert interaction_weights(half, pair) is None


@pytest.mark.parametrize("count", [2, 3, 4])
def test_weights_recover_planted_effects(count):
    tricks = list("abcd"[:count])
    planted = dict(zip(tricks, (0.3, -0.2, 0.7, 0.1), strict=False))
    names = tuple(all_arms(tricks))
    means = {n: 5 + sum(planted[t] for t in n.split(" + ") if t != "none") for n in names}
    for trick in tricks:
        weights = main_effect_weights(names, trick)
        assert sum(w * means[arm] for arm, w in weights.items()) == pytest.approx(planted[trick])


# Contrasts


def test_contrast_of_four_arms_has_seed_error():
    rows = frame(*arms({"a": 0.8, "b": 1.1, "a + b": 0.7}, seeds=6, noise=0.2))
    ((_, table),) = background_tables(outcome_rows(rows), "log")
    weights = interaction_weights(tuple(table.columns), ("a", "b"))
    paired = contrast_on_background(table, weights, paired=True)
    each = table["a + b"] - table["a"] - table["b"] + table["none"]
    assert (paired.mean, paired.variance) == pytest.approx((each.mean(), each.var() / 6))
    loose = contrast_on_background(table, weights, paired=False)
    assert loose.variance == pytest.approx(sum(table[arm].var() / 6 for arm in FULL))
    assert loose.mean == pytest.approx(paired.mean)


def test_unpaired_arms_keep_unmatched_seeds():
    rows = arms({"a": 0.8}, seeds=4)
    rows = [r for r in rows if (r["tricks"], r["seed"]) not in {("a", 0), ("none", 3)}]
    expected = stats.ttest_ind(
        *(np.log([r["value"] for r in rows if r["tricks"] == arm]) for arm in ("a", "none")),
        equal_var=False,
    )
    (effect,) = trick_effects(frame(*rows, paired=False))
    assert effect.p == pytest.approx(expected.pvalue)


def test_smallest_detectable_effect_has_stated_power():
    table = pd.DataFrame({"a": [0.1, 0.3, -0.2, 0.4, 0.0, 0.2], "none": 0.0})
    estimate = estimate_contrast(
        [contrast_on_background(table, {"a": 1.0, "none": -1.0}, paired=True)]
    )
    size = estimate.smallest_detectable(family=3)
    bound = stats.t.ppf(1 - 0.05 / 6, estimate.freedom)
    assert stats.nct.sf(bound, estimate.freedom, size / estimate.error) == pytest.approx(
        0.8, abs=1e-6
    )
    assert estimate.smallest_detectable(family=1) < size


# Interactions


def grid(ratios, noise=0.03):
    """Makes a grid over losses and variants; trick a multiplies each cell by its ratio."""
    rows = []
    for number, ((variant, loss), ratio) in enumerate(ratios.items()):
        rows += arms({"a": ratio}, noise=noise, random=number, variant=variant, loss=loss)
    return frame(*rows)


CELLS = [("gan", "hinge"), ("gan", "minimax"), ("dcgan", "hinge"), ("dcgan", "minimax")]


def test_loss_specific_trick_interacts_with_loss():
    rows = grid({cell: 0.5 if cell[1] == "hinge" else 1.0 for cell in CELLS})
    interactions = {(i.kind, i.where): i for i in all_interactions(rows)}
    loss, variant = interactions["trick × loss", "hinge"], interactions["trick × variant", "gan"]
    assert loss.ratio == pytest.approx(0.5, rel=0.08)
    assert loss.low < 0.5 < loss.high
    assert (loss.verdict, variant.verdict) == ("differs", "undecided")
    assert len(interactions) == 2  # a factor of two levels has one interaction
    by_loss = {e.loss: e for e in effects_by_loss(rows)}
    assert by_loss["hinge"].verdict == "helps"
    assert by_loss["hinge"].ratio / by_loss["minimax"].ratio == pytest.approx(loss.ratio)


def test_confounded_level_has_no_interaction():
    """The wasserstein loss occurs only with wgan: loss and variant are confounded."""
    rows = grid({**dict.fromkeys(CELLS, 1.0), ("wgan", "wasserstein"): 0.1})
    assert {(i.kind, i.where) for i in all_interactions(rows)} == {
        ("trick × loss", "hinge"),
        ("trick × variant", "gan"),
    }


def test_canceling_tricks_interact():
    rows = frame(*arms({"a": 0.5, "b": 0.5, "a + b": 1.0}, noise=0.03, cells=(1, 4)))
    (interaction,) = all_interactions(rows)
    assert (interaction.kind, interaction.tricks, interaction.where) == ("trick × trick", "a", "b")
    assert interaction.ratio == pytest.approx(4, rel=0.1)
    assert interaction.verdict == "differs"
    main = {e.tricks: e.ratio for e in trick_effects(rows)}
    assert main["a"] == pytest.approx(1, rel=0.05)


def test_single_cell_has_no_interactions():
    assert all_interactions(frame(*arms({"a": 0.5}))) == []


# Rates


def test_rates_have_wilson_interval_and_mcnemar_p():
    rows = [row("none", seed, value=1.0) for seed in range(12)]
    rows += [row("a", seed, value=None if seed < 8 else 1.0) for seed in range(12)]
    none, a = failure_rates(frame(*rows))[:2]
    assert (none.tricks, none.count, none.rate) == ("none", 0, 0)
    assert (a.count, a.trainings, a.more, a.fewer) == (8, 12, 8, 0)
    assert a.p == pytest.approx(2 * 0.5**8)
    low, high = wilson_interval(8, 12)  # by hand: centre and half width of Wilson's formula
    z, p, n = stats.norm.ppf(0.975), 8 / 12, 12
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert (low, high) == pytest.approx((centre - half, centre + half))


@pytest.mark.parametrize(("axis", "seeds"), [("loss", 3), ("variant", 15)])
def test_losses_of_one_network_fail_together(axis, seeds):
    """Trainings of a network with one seed begin with the same weights, so they count as one."""
    rows = [
        row(tricks, seed, value=None if tricks == "a" else 1.0, **{axis: f"level {level}"})
        for tricks in ("none", "a")
        for level in range(5)
        for seed in range(3)
    ]
    _, a = failure_rates(frame(*rows))[:2]
    assert (a.count, a.trainings, a.more, a.fewer) == (15, 15, 15, 0)
    assert a.p == pytest.approx(2 * 0.5**seeds)
    assert (a.low, a.high) == pytest.approx(wilson_interval(seeds, seeds))


@pytest.mark.parametrize("changes", [[1, -1, 2], [3, 2, 0, 1, 2], [-1, -1, -1, -2], [5, -5]])
def test_randomization_test_equals_all_signs(changes):
    signs = itertools.product((1, -1), repeat=len(changes))
    sums = np.abs(np.array(list(signs)) @ changes)
    expected = np.mean(sums >= abs(sum(changes)))
    assert randomization_test(pd.Series(changes)) == pytest.approx(expected)


def test_collapse_is_counted_if_measured():
    rows = [row("none", s, value=1.0, collapsed=False) for s in range(3)]
    rows += [row("a", s, value=1.0, collapsed=True) for s in range(3)]
    rates = {(r.what, r.tricks): r for r in failure_rates(frame(*rows))}
    assert rates["collapsed", "a"].count == 3
    assert rates["failed", "a"].count == 0
    unknown = frame(*(row("none", s, value=1.0) for s in range(3)))
    assert {r.what for r in failure_rates(unknown)} == {"failed"}


# Leaderboard


def test_ties_follow_welchs_test():
    """A single seed decides nothing, as long as the first cell has several."""
    first = [row(seed=s, value=v) for s, v in enumerate((1.0, 1.1, 0.9))]
    near = [row(seed=s, value=v, loss="near") for s, v in enumerate((1.0, 1.3, 1.1))]
    far = [row(seed=s, value=v, loss="far") for s, v in enumerate((5.0, 5.5, 4.5))]
    once = [row(seed=0, value=9.0, loss="once")]
    board = leaderboard(frame(*first, *near, *far, *once)).set_index("loss")
    expected = {"hinge": True, "near": True, "far": False, "once": True}
    assert board["tied"].to_dict() == expected
    p = stats.ttest_ind(*(np.log([r["value"] for r in c]) for c in (first, far)), equal_var=False)
    assert p.pvalue < 0.05


def test_leaderboard_has_wilson_rates_and_median_costs():
    rows = [row(seed=s, value=1.0 if s else None, collapsed=bool(s)) for s in range(4)]
    rows += [
        {**row(seed=s, value=float(s), kind="cost", checkpoint=None), "metric": "train_seconds"}
        for s in range(4)
    ]
    (entry,) = leaderboard(frame(*rows)).to_dict("records")
    assert (entry["failure rate"], entry["collapse rate"]) == (0.25, 0.75)
    assert (entry["failure low"], entry["failure high"]) == pytest.approx(wilson_interval(1, 4))
    assert entry["train_seconds"] == 1.5
    assert math.isnan(entry["peak_memory"])
