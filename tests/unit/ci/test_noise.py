"""The shared noise of benchmarks, against draws from the distribution that it fits."""

import math

import numpy as np
import pytest
from scipy.special import polygamma
from scipy.stats import t

from ganbench.ci.performance.noise import (
    MIN_BENCHMARKS,
    NO_SHARED_NOISE,
    SharedNoise,
    estimate_shared_noise,
    freedom_of_spread,
)
from ganbench.ci.performance.rules import PerfRules
from ganbench.ci.performance.verdicts import find_slowdowns, ratio_interval

RULES = PerfRules(margin=1e-9, pairs=10, seconds=math.inf, concurrent_pairs=2)


def draw_ratios(rng, benchmarks, pairs, variance=0.002, freedom=6.0):
    """Draws ratios whose variances are scaled inverse chi-square."""
    variances = variance * freedom / rng.chisquare(freedom, benchmarks)
    return rng.normal(0, np.sqrt(variances)[:, None], (benchmarks, pairs))


def test_no_shared_noise_is_students_t():
    assert NO_SHARED_NOISE.moderate(0.3, 4) == (0.3, 4)


def test_moderated_variance_is_a_weighted_mean():
    assert SharedNoise(0.1, 6).moderate(0.4, 3) == pytest.approx((0.2, 9))


@pytest.mark.parametrize("freedom", [1.0, 4.0, 20.0])
def test_estimate_finds_scale_and_freedom(freedom):
    rng = np.random.default_rng(0)
    noise = estimate_shared_noise(draw_ratios(rng, 20_000, 4, 0.002, freedom))
    assert noise.variance == pytest.approx(0.002, rel=0.05)
    assert noise.freedom == pytest.approx(freedom, rel=0.15)


def test_equal_variances_are_pooled():
    """The freedom cannot exceed that of all samples together."""
    samples = np.random.default_rng(2).normal(0, 0.1, (100, 4))
    noise = estimate_shared_noise(samples)
    assert 30 < noise.freedom <= 300
    assert noise.variance == pytest.approx(0.01, rel=0.15)


def test_too_few_benchmarks_share_nothing():
    rng = np.random.default_rng(0)
    assert estimate_shared_noise(draw_ratios(rng, MIN_BENCHMARKS - 1, 4)) == NO_SHARED_NOISE
    assert estimate_shared_noise([[0.5] * 4] * 100) == NO_SHARED_NOISE
    assert estimate_shared_noise([]) == NO_SHARED_NOISE


@pytest.mark.parametrize("freedom", [0.5, 3.0, 50.0])
def test_freedom_inverts_the_trigamma_function(freedom):
    assert freedom_of_spread(float(polygamma(1, freedom / 2))) == pytest.approx(freedom)
    assert freedom_of_spread(-0.1) == math.inf


def test_moderated_interval_holds_its_level():
    """A benchmark's interval misses the true ratio as often as the level says, and is shorter."""
    rng, intervals, plain = np.random.default_rng(3), [], []
    for _ in range(40):
        ratios = draw_ratios(rng, 140, 4)
        noise = estimate_shared_noise(ratios)
        intervals += [ratio_interval(row, RULES, noise) for row in ratios]
        plain += [ratio_interval(row, RULES) for row in ratios]
    misses = np.mean([not one.low < 0 < one.high for one in intervals])
    assert misses == pytest.approx(1 - RULES.level(4), abs=0.006)
    assert np.mean([one.high - one.low for one in intervals]) < 0.75 * np.mean(
        [one.high - one.low for one in plain]
    )


def test_moderated_looks_keep_the_error_of_a_round():
    rng, found = np.random.default_rng(4), []
    for _ in range(100):
        rounds = draw_ratios(rng, 140, 10)
        found += list(find_slowdowns(rounds, RULES, estimate_shared_noise(rounds[:, :4])))
    assert np.mean(found) < 0.025  # of one direction


def test_moderation_narrows_an_interval():
    """At equal variances, four pairs suffice where Student's t has three degrees of freedom."""
    ratios = [-0.1, 0.1, -0.1, 0.1]
    noise = SharedNoise(float(np.var(ratios, ddof=1)), 6.0)
    plain, moderated = ratio_interval(ratios, RULES), ratio_interval(ratios, RULES, noise)
    tail = (1 + RULES.level(4)) / 2
    assert moderated.high / plain.high == pytest.approx(t.ppf(tail, 9) / t.ppf(tail, 3))
