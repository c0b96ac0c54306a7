"""Adjusted intervals and the cells of effects, against Holm's test and statsmodels."""

import math

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests
from synthetic_rows import arms, frame, row

from ganbench.analysis.contrasts import (
    Estimate,
    change_of_samples,
    estimate_contrast,
    holm_correct,
    holm_divisors,
)
from ganbench.analysis.coverage import TrickCoverage
from ganbench.analysis.effects import Effect, VerdictRule, holm_corrections, trick_effects
from ganbench.analysis.interactions import all_interactions
from ganbench.analysis.metric_scale import MetricScale


def random_estimates(seed):
    random = np.random.default_rng(seed)
    means = random.normal(size=7) * random.choice([0.0, 4.0], size=7)
    return [Estimate(mean, 1.0, freedom) for mean, freedom in zip(means, range(4, 11), strict=True)]


@pytest.mark.parametrize("seed", range(50))
def test_interval_excludes_zero_iff_holm_rejects(seed, monkeypatch):
    monkeypatch.setattr("gc.collect", int)  # multipletests would take half a second
    estimates = random_estimates(seed)
    p = [estimate.p() for estimate in estimates]
    rejected = multipletests(p, alpha=0.05, method="holm")[0]
    for estimate, tests, is_rejected in zip(estimates, holm_divisors(p), rejected, strict=True):
        low, high = estimate.interval(tests)
        assert (low > 0 or high < 0) == is_rejected


def test_divisors_count_down_until_first_acceptance():
    assert holm_divisors([0.001, 0.2, 0.01, 0.9]) == [4, 2, 3, 2]
    assert holm_divisors([0.5, math.nan, 0.02]) == [1, 1, 2]
    assert holm_divisors([]) == []


def test_families_without_effects_are_rarely_wrong():
    """The share of families with any wrong interval is at most 5 %, and not much below it."""
    random, wrong = np.random.default_rng(0), 0
    for _ in range(2000):
        estimates = [Estimate(mean, 1.0, 1e6) for mean in random.normal(size=5)]
        divisors = holm_divisors([estimate.p() for estimate in estimates])
        intervals = [e.interval(tests) for e, tests in zip(estimates, divisors, strict=True)]
        wrong += any(low > 0 or high < 0 for low, high in intervals)
    assert 0.035 < wrong / 2000 < 0.065


def has_false_claim(spreads, rng, tricks=27, seeds=3):
    """Draws a grid without effects, and corrects the tests of its tricks."""
    noise = rng.normal(size=(tricks, len(spreads), seeds)) * np.array(spreads)[:, None]
    estimates = (
        estimate_contrast([change_of_samples({"": dict(enumerate(own))}, n)
                           for n, own in enumerate(of_trick)])
        for of_trick in noise.tolist()
    )  # fmt: skip
    return min(holm_correct([estimate.p() for estimate in estimates])) < 0.05


@pytest.mark.parametrize(
    ("spreads", "low", "high"), [((1, 1, 1), 0.0, 0.05), ((1, 0.1, 0.1), 0.1, 0.3)]
)
def test_false_claims_with_unequal_networks_are_as_documented(spreads, low, high):
    """Satterthwaite's freedom is too large in the tail if one of few networks is much noisier."""
    rng, grids = np.random.default_rng(0), 150
    share = sum(has_false_claim(spreads, rng) for _ in range(grids)) / grids
    assert low <= share <= high


@pytest.mark.parametrize("shown", [0, 9])
def test_families_at_the_margin_are_rarely_called_equivalent(shown):
    """Effects at the margin are no equivalence, however many other effects Holm's test has shown."""
    random, wrong = np.random.default_rng(shown), 0
    rule = VerdictRule(MetricScale("lower", "log"), 0.1, 0.05)
    means = np.log([0.5] * shown + [0.9] * (12 - shown))
    effects = [Effect(str(name), 1.0, 1.0, 1.0, 1, 1, 0, math.nan, "") for name in range(12)]
    for _ in range(1000):
        estimates = [Estimate(mean, 0.01, 1e6) for mean in random.normal(means, 0.01)]
        raw = list(zip(effects, estimates, strict=True))
        corrections = holm_corrections(raw)
        decided = map(rule.decide, effects, estimates, corrections)
        wrong += any(effect.verdict == "equivalent" for effect in decided)
    share = (12 - shown) / 12 * 0.025  # Bonferroni over one-sided tests
    assert share / 3 < wrong / 1000 < share + 0.012


def test_verdicts_and_intervals_of_effects_agree():
    effects = trick_effects(frame(*arms({"a": 0.8, "b": 0.85, "c": 0.9, "d": 1.0}, noise=0.1)))
    for effect in effects:
        excludes = effect.adjusted_low > 1 or effect.adjusted_high < 1
        assert excludes == (effect.verdict in ("helps", "harms")) == (effect.p < 0.05)
        assert effect.adjusted_low <= effect.low < effect.high <= effect.adjusted_high
    assert {effect.verdict for effect in effects} == {"helps", "undecided"}


def test_verdicts_and_intervals_of_interactions_agree():
    one = arms({"a": 0.5, "b": 0.9}, loss="hinge")
    other = arms({"a": 1.0, "b": 0.9}, loss="minimax", random=1)
    entries = all_interactions(frame(*one, *other))
    assert {entry.verdict for entry in entries} == {"differs", "undecided"}
    for entry in entries:
        excludes = entry.adjusted_low > 1 or entry.adjusted_high < 1
        assert excludes == (entry.verdict == "differs")


def test_single_effect_needs_no_adjustment():
    (effect,) = trick_effects(frame(*arms({"a": 0.8})))
    assert (effect.adjusted_low, effect.adjusted_high) == (effect.low, effect.high)
    assert holm_correct([effect.p]) == [effect.p]


# Cells


def suite_with_gaps():
    """A suite of two variants and two losses in which r1 lacks a loss, and ema a variant."""
    rows = []
    for variant in ("gan", "wgan"):
        for loss in ("hinge", "minimax"):
            cell = {"variant": variant, "loss": loss}
            names = ["none", "top_k"]
            names += ["r1"] if loss == "hinge" else []
            names += ["ema"] if variant == "gan" else []
            rows += [row(name, seed, 1.0 + seed, **cell) for name in names for seed in range(3)]
    refused = [
        row("r1", outcome="not_applicable", reason="it needs margins", variant=v, loss="minimax")
        for v in ("gan", "wgan")
    ]
    return frame(*rows, *refused, row("none", value=1.0, variant="alone"))


def one_gap(values: dict[str, tuple[float | None, ...]], **plan) -> tuple[int, str, dict]:
    """Compares r1 under hinge and, with a gap, under minimax; returns what is known of its cells."""
    full = {"none": (1.0, 2.0, 3.0), "r1": (2.0, 3.0, 4.0)}
    rows = [
        row(tricks, seed, value, loss=loss, reason="" if value else "it diverged")
        for loss, arms in (("hinge", full), ("minimax", values))
        for tricks, column in arms.items()
        for seed, value in enumerate(column)
    ]
    table = frame(*rows, **plan)
    (effect,) = (e for e in trick_effects(table) if e.tricks == "r1")
    coverage = TrickCoverage.of(table)
    return effect.cells, coverage.count(effect), coverage.missing(effect)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"none": (1, 2), "r1": (None, None)}, "it diverged"),
        (
            {"none": (None, None), "r1": (1, 2)},
            "the arm without tricks has no value (it diverged)",
        ),
        ({"none": (None, 2), "r1": (1, None)}, "no seed has a value in both arms"),
        ({"ema": (1, 2), "r1": (1, 2)}, "no arm without tricks in the suite"),
        ({"none": (1, 2), "ema": (1, 2)}, "not in the suite"),
        ({"none": (1, 2), "ema + r1": (1, 2)}, "tried only with other tricks"),
    ],
)
def test_reason_of_a_missing_cell_is_the_cause(values, reason):
    assert one_gap(values) == (1, "1 of 2", {reason: ["minimax"]})


def test_cells_without_common_seeds_are_compared_if_the_suite_has_no_pairs():
    gap = one_gap({"none": (None, 2.0), "r1": (1.0, None)}, paired=False)
    assert gap == (2, "2 of 2", {})


def test_missing_cells_have_reasons():
    table = suite_with_gaps()
    coverage, effects = TrickCoverage.of(table), {e.tricks: e for e in trick_effects(table)}
    assert coverage.missing(effects["top_k"]) == {}
    assert coverage.missing(effects["r1"]) == {"it needs margins": ["minimax"]}
    assert coverage.missing(effects["ema"]) == {"not in the suite": ["wgan"]}
    assert [coverage.count(effects[name]) for name in ("top_k", "r1", "ema")] == [
        "4 of 4",
        "2 of 4",
        "2 of 4",
    ]
    assert [effects[name].cells for name in ("top_k", "r1", "ema")] == [4, 2, 2]


def test_errors_of_rounding_decide_nothing():
    """Merging the cells of a network leaves such an error where all seeds change alike."""
    losses = ("hinge", "minimax", "non_saturating")
    rows = [
        row(tricks, seed, value, loss=loss, metric="modes")
        for loss in losses
        for tricks, value in (("none", 0.9), ("r1", 0.1))
        for seed in range(3)
    ]
    (effect,) = trick_effects(frame(*rows, outcome="modes"))
    assert effect.verdict == "undecided"
    assert math.isnan(effect.p)
