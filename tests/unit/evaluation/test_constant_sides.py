"""FID where one side has no variance, against its closed form."""

import numpy as np
import pytest
import torch

from ganbench.evaluation.evaluate import evaluate
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import MetricNotApplicable
from ganbench.evaluation.metrics.feature_set import FeatureSet

WIDTH = 24


def normal_features(count, seed=0):
    return torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed))


def constant_features(count, value=0.1):
    return torch.full((count, WIDTH), value)


def closed_form(one, other):
    """The distance of Gaussians if one of them has no variance."""
    gap = one.double().mean(0) - other.double().mean(0)
    return float(gap.square().sum() + one.double().var(0).sum() + other.double().var(0).sum())


@pytest.mark.parametrize("count", [250, 20])  # with more and with fewer examples than features
def test_fid_of_constant_side_has_closed_form(count):
    varied, constant = normal_features(300), constant_features(count)
    expected = pytest.approx(closed_form(varied, constant), rel=1e-12)
    metric = METRICS.make("fid")
    assert metric(FeatureSet(varied), FeatureSet(constant)).value == expected
    assert metric(FeatureSet(constant), FeatureSet(varied)).value == expected


def test_fid_of_few_fakes_and_constant_reals():
    fakes, reals = normal_features(20), constant_features(250)
    measured = METRICS.make("fid")(FeatureSet(fakes), FeatureSet(reals))
    assert measured.value == pytest.approx(closed_form(fakes, reals), rel=1e-12)


def test_fid_of_two_constants_is_their_gap():
    metric = METRICS.make("fid")
    zeros, ones = FeatureSet(torch.zeros(50, WIDTH)), FeatureSet(torch.ones(60, WIDTH))
    assert metric(zeros, ones).value == WIDTH
    assert metric(zeros, FeatureSet(torch.zeros(60, WIDTH))).value == 0


def test_standard_error_is_that_of_squared_distances():
    fakes, reals = normal_features(400), constant_features(250, 3.0)
    rows = fakes.double() - fakes.double().mean(0)
    gap = fakes.double().mean(0) - reals.double().mean(0)
    influence = 2 * rows @ gap + rows.square().sum(1)
    measured = METRICS.make("fid")(FeatureSet(fakes), FeatureSet(reals))
    assert measured.standard_error == pytest.approx(float(influence.std()) / 20)


def test_perfect_generator_of_one_image_has_fid_zero():
    assert METRICS.make("fid").expected_floor(FeatureSet(constant_features(250)), 100) == 0


@pytest.mark.parametrize("name", list(METRICS))
@pytest.mark.parametrize("constant_side", ["fakes", "reals", "both"])
def test_every_metric_measures_a_constant_side(name, constant_side):
    fakes = constant_features(300) if constant_side != "reals" else normal_features(300)
    reals = constant_features(250) if constant_side != "fakes" else normal_features(250, 1)
    try:
        measured = METRICS.make(name)(FeatureSet(fakes), FeatureSet(reals))
    except MetricNotApplicable:
        return  # a sentence is right, too
    assert np.isfinite(measured.value)


def test_evaluation_of_constant_reals_has_all_values(tmp_path):
    np.savez(tmp_path / "fakes.npz", features=normal_features(400).numpy())
    np.savez(tmp_path / "reals.npz", features=constant_features(250).numpy())
    evaluation = evaluate(
        str(tmp_path / "fakes.npz"), str(tmp_path / "reals.npz"), metrics="fid,fid_unbiased,kid"
    )
    expected = closed_form(normal_features(400), constant_features(250))
    assert evaluation["fid"] == pytest.approx(expected, rel=1e-6)
    assert all(row.value is not None for row in evaluation.rows)
