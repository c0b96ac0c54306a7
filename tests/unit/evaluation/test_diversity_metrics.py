"""Metrics of diversity against golden values, dense recomputations, and drawings of fakes again."""

import math

import numpy as np
import pytest
import torch
from helpers import CPU
from scipy.spatial.distance import cdist, jensenshannon, pdist
from scipy.stats import chi2_contingency
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
)

from ganbench.evaluation.metrics import METRICS, support, vendi
from ganbench.evaluation.metrics import pairwise as gram
from ganbench.evaluation.metrics.base import MetricNotApplicable, compute_pairwise_statistics
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.evaluation.metrics.ms_ssim import compute_ms_ssim
from ganbench.evaluation.reference_cache import DiskCache

OF_FEATURES = ("ndb(bins=20)", "js(bins=20)", "vendi", "vendi(order=2)", "rke", "support")
NAMES = (*OF_FEATURES, "ms_ssim")
CENTRES = np.random.default_rng(99).standard_normal((10, 8))


def points(features):
    return FeatureSet(torch.as_tensor(np.asarray(features), dtype=torch.float32))


def clusters(count, seed=0, hit=10, shift=0.0):
    """Points of so many of ten clusters, and pictures that are as unlike as the points are."""
    random = np.random.default_rng(seed)
    features = CENTRES[random.integers(0, hit, count)] + 0.3 * random.standard_normal((count, 8))
    made = points(features + shift)
    waves = np.cos(np.outer(np.arange(1, 9), np.arange(14)))
    pictures = (
        128 + 20 * (features @ waves)[:, None, :, None] + 20 * (features @ waves)[:, None, None]
    )
    made.images = torch.as_tensor(pictures.clip(0, 255), dtype=torch.uint8)
    return made


def measured(name, fake, real):
    return METRICS.make(name)(fake, real)


# All of them


@pytest.mark.parametrize("name", NAMES)
def test_lost_clusters_are_seen_and_equals_score_near_the_floor(name):
    real, metric = clusters(3000, 1), METRICS.make(name)
    good, bad = metric(clusters(600, 2), real), metric(clusters(600, 3, hit=3), real)
    floor = metric.expected_floor(real, 600)
    assert abs(good.value - floor) < 4 * good.standard_error + 0.02 * floor
    sign = {"lower": 1, "higher": -1}[metric.direction]
    assert sign * (bad.value - floor) > 8 * bad.standard_error


LARGEST = {"ndb(bins=20)": 1.6, "js(bins=20)": 1.45}  # of the null, as their files say


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("hit", [10, 6])
def test_errors_are_those_of_drawing_the_fakes_again(name, hit):
    real, draws = clusters(1000, 1), 120 if name != "ms_ssim" else 60
    found = [measured(name, clusters(300, 100 + n, hit), real) for n in range(draws)]
    told = np.mean([f.standard_error for f in found])
    assert 0.75 < told / np.std([f.value for f in found], ddof=1) < LARGEST.get(name, 1.3)


@pytest.mark.parametrize("name", OF_FEATURES)
def test_moving_turning_and_scaling_both_sides_changes_nothing(name):
    turn, _ = np.linalg.qr(np.random.default_rng(5).standard_normal((8, 8)))
    fake, real = clusters(300, 1, hit=7), clusters(400, 2)
    shift = 0.0 if name.startswith("vendi") else 2.0  # cosines are about the origin
    plain = measured(name, fake, real).value
    moved = [points(3 * side.features.numpy() @ turn + shift) for side in (fake, real)]
    assert measured(name, *moved).value == pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize("name", OF_FEATURES)
@pytest.mark.parametrize(
    "fake",
    [np.zeros((60, 3)), np.full((60, 3), 1e12), np.eye(60, 3) * 1e-30],
    ids=["zeros", "far", "tiny"],
)
def test_odd_fakes_have_a_value_and_an_error(name, fake):
    real = points(np.random.default_rng(0).standard_normal((100, 3)))
    found = METRICS.make(name.replace("20", "5"))(points(fake), real)
    assert math.isfinite(found.value)
    assert math.isfinite(found.standard_error)


@pytest.mark.parametrize("name", ["ndb(bins=5)", "js(bins=5)", "rke"])
def test_reals_all_alike_are_refused_in_a_sentence(name):
    with pytest.raises(MetricNotApplicable, match="the reals are all alike"):
        measured(name, points(np.ones((60, 3))), points(np.ones((100, 3))))


@pytest.mark.parametrize(
    "spec",
    [
        "ndb(bins=1)",
        "ndb(level=0)",
        "js(bins=0)",
        "vendi(order=0)",
        "rke(width=0)",
        "ms_ssim(pairs=0)",
    ],
)
def test_settings_that_cannot_be_are_refused(spec):
    with pytest.raises(ValueError, match=r"must (be|lie)"):
        METRICS.make(spec)


def test_one_sweep_serves_all(monkeypatch):
    metrics = [METRICS.make(name) for name in NAMES]
    alone = [metric(clusters(200, 1), clusters(400, 2)) for metric in metrics]
    fake, real = clusters(200, 1), clusters(400, 2)
    compute_pairwise_statistics(metrics, fake, real)
    monkeypatch.setattr(
        gram.CentredPairs, "iter_tiles", lambda pairs: pytest.fail("a second sweep")
    )
    assert [metric(fake, real) for metric in metrics] == alone


def test_what_reals_tell_is_kept_on_the_disk(tmp_path, monkeypatch):
    fake, metrics, found = clusters(200, 1), [METRICS.make(name) for name in NAMES], []
    for _ in range(2):
        real = clusters(400, 2)
        real.cache = DiskCache(tmp_path, CPU)
        found.append([metric(fake, real) for metric in metrics])
        monkeypatch.setattr(
            "ganbench.evaluation.metrics.kmeans_bins.lloyd_iterations",
            lambda *_: pytest.fail("made again"),
        )
    assert found[0] == found[1]


# Bins


def test_bins_agree_with_scipy_in_counts_in_tests_and_in_divergence():
    fake, real = clusters(500, 1, hit=7), clusters(1000, 2)
    metric = METRICS.make("ndb(bins=20)")
    centres = metric.cached_bins(real)["centres"].numpy()
    ours, theirs = metric.count_fakes(fake, real).numpy(), metric.count_reals(real).numpy()
    nearest = cdist(fake.features.double().numpy(), centres).argmin(1)
    assert np.array_equal(ours, np.bincount(nearest, minlength=20))
    assert theirs.sum() == 500  # the half that made no centres
    held = [both for both in zip(ours, theirs, strict=True) if any(both)]
    tables = [[[a, 500 - a], [b, 500 - b]] for a, b in held]
    different = [chi2_contingency(table, correction=False).pvalue < 0.05 for table in tables]
    assert metric(fake, real).value == sum(different) / 20
    js = measured("js(bins=20)", fake, real).value
    assert js == pytest.approx(jensenshannon(ours, theirs) ** 2, rel=1e-9)


@pytest.mark.parametrize("width", [2, 600])
def test_the_null_of_ndb_is_its_level_however_many_features(width):
    """Centres made of the reals whose shares are compared would give 0.6 of 600 features."""
    found = []
    for seed in range(12):
        random = np.random.default_rng(seed)
        fake, real = (points(random.standard_normal((n, width))) for n in (500, 800))
        found.append(measured("ndb(bins=25)", fake, real).value)
    limit = 4 * (0.05 * 0.95 / (12 * 25)) ** 0.5
    assert np.mean(found) == pytest.approx(0.05, abs=limit)


def test_far_fakes_are_all_in_one_bin():
    fake, real = clusters(300, 1, shift=1e6), clusters(1000, 2)
    assert measured("ndb(bins=20)", fake, real).value > 0.7
    shares = METRICS.make("js(bins=20)").count_reals(real) / 500
    bin_of_all = METRICS.make("js(bins=20)").count_fakes(fake, real) / 300
    assert measured("js(bins=20)", fake, real).value == pytest.approx(
        jensenshannon(shares, bin_of_all) ** 2
    )


def test_there_are_fewer_bins_of_few_reals_or_of_few_places():
    assert len(METRICS.make("ndb").count_reals(clusters(300))) == 15
    places = points(np.arange(300)[:, None] % 3)
    found = METRICS.make("ndb")
    assert found.count_reals(places).sum() == 150
    assert len(found.count_reals(places)) == 3
    assert found(points(np.arange(60)[:, None] % 2), places).value == 1


def test_too_few_for_bins_are_told_in_a_sentence():
    with pytest.raises(MetricNotApplicable, match="at least 40 reals"):
        measured("js", clusters(300), clusters(39))
    with pytest.raises(MetricNotApplicable, match="15 bins need at least 75 fakes"):
        measured("ndb", clusters(74), clusters(300))
    assert measured("js", clusters(2), clusters(300)).value <= math.log(2)


# Vendi


def test_vendi_scores_of_known_sets():
    split = np.repeat(np.eye(2), (70, 30), axis=0)
    for order, expected in ((1, 1.8420228), (2, 1.7241379)):
        assert vendi.vendi_score(torch.tensor(split), order) == pytest.approx(expected, rel=1e-7)
        assert vendi.vendi_score(torch.eye(12), order) == pytest.approx(12)
        assert vendi.vendi_score(torch.full((12, 5), 3.0), order) == pytest.approx(1)


@pytest.mark.parametrize("order", [0.5, 1, 2, 3.5])
@pytest.mark.parametrize("width", [3, 200], ids=["dual", "gram"])
def test_vendi_is_the_entropy_of_the_cosines_eigenvalues(order, width):
    x = np.random.default_rng(0).standard_normal((80, width)) + 0.5
    x = x.astype(np.float32).astype(float)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    shares = np.linalg.eigvalsh(unit @ unit.T / 80)
    shares = shares[shares > 1e-12]
    shannon = -(shares * np.log(shares)).sum()
    renyi = shannon if order == 1 else np.log((shares**order).sum()) / (1 - order)
    assert vendi.vendi_score(torch.tensor(x), order) == pytest.approx(np.exp(renyi), rel=1e-9)


def test_vendi_looks_at_directions_and_zeros_are_one_of_their_own():
    random = np.random.default_rng(0)
    x = random.standard_normal((50, 4))
    lengths = random.uniform(1e-20, 1e20, (50, 1))
    assert vendi.vendi_score(torch.tensor(x * lengths)) == pytest.approx(
        vendi.vendi_score(torch.tensor(x))
    )
    assert vendi.vendi_score(torch.zeros(9, 4)) == pytest.approx(1)
    assert vendi.vendi_score(torch.cat([torch.zeros(9, 4), torch.ones(9, 4)])) == pytest.approx(2)


def test_vendi_compares_as_many_reals_evenly_spaced():
    fake, real = clusters(100, 1), clusters(300, 2)
    expected = vendi.vendi_score(fake.features) / vendi.vendi_score(real.features[::3])
    assert measured("vendi", fake, real).value == pytest.approx(expected)
    assert measured("vendi", real, real).value == pytest.approx(1)


# RKE


def kernels(x, bandwidth):
    """The mean squared Gaussian kernel of two of these."""
    return np.exp(-((pdist(x) / bandwidth) ** 2)).mean()


def test_rke_is_the_ratio_of_two_entropies_of_order_two():
    fake, real = clusters(150, 1, hit=7), clusters(200, 2)
    x, y = (side.features.double().numpy() for side in (fake, real))
    bandwidth = 0.5 * np.median(pdist(y))
    expected = (1 + 149 * kernels(y, bandwidth)) / (1 + 149 * kernels(x, bandwidth))
    assert measured("rke", fake, real).value == pytest.approx(expected, rel=1e-4)
    matrix = np.exp(-((cdist(y, y) / bandwidth) ** 2) / 2) / 200
    of_reals = 1 / np.square(matrix).sum()
    assert 200 / (1 + 199 * kernels(y, bandwidth)) == pytest.approx(of_reals)
    assert measured("rke", real, real).value == pytest.approx(1)


def test_rke_counts_clusters_far_apart():
    """Of ten clusters that do not overlap four are left, of as many fakes as reals."""
    spots = 100 * np.eye(10)
    real, fake = points(np.repeat(spots, 50, axis=0)), points(np.repeat(spots[:4], 125, axis=0))
    assert measured("rke(width=0.1)", fake, real).value == pytest.approx(0.4)
    assert measured("rke(width=0.1)", points(spots[[0] * 500]), real).value == pytest.approx(0.1)


# Support


def test_the_support_of_a_law_of_so_many_examples_is_found():
    """Reals with copies among them: what is the same are copies, whose distances are rounding's."""
    random = np.random.default_rng(0)
    places = random.standard_normal((50, 6)) + 10
    real = points(places[random.integers(0, 50, 400)])
    found = measured("support", points(places[random.integers(0, 50, 300)]), real)
    assert found.value == pytest.approx(50, abs=4 * found.standard_error)
    found = measured("support", points(places[random.integers(0, 20, 300)]), real)
    assert found.value == pytest.approx(20, abs=4 * found.standard_error)


@pytest.mark.parametrize("width", [1, 700])
def test_copies_are_copies_whatever_the_rounding(width):
    x = np.random.default_rng(0).standard_normal((1, width)) + 5
    same, others = points(np.repeat(x, 40, axis=0)), points(x + np.arange(40)[:, None])
    assert measured("support", same, same).value == 1
    assert measured("support", same, others).value == 1
    with pytest.raises(MetricNotApplicable, match="support is more than 780 examples"):
        measured("support", others, same)


def test_support_is_one_over_the_share_of_near_pairs():
    fake, real = clusters(200, 1, hit=5), clusters(300, 2)
    x, y = (side.features.double().numpy() for side in (fake, real))
    nearest = np.sort(cdist(y, y))[:, 1]
    reach = np.sort(nearest)[(300 - 1) // 2]
    assert support.collision_reach(real) == pytest.approx(reach**2)
    share = (pdist(x) <= reach).mean()
    assert measured("support", fake, real).value == pytest.approx(1 / share)


# MS-SSIM


def photographs(count, size, seed=0):
    """Smooth images, and the same with noise: float in 0 to 255 [N, 3, S, S]."""
    random = torch.Generator().manual_seed(seed)
    smooth = torch.rand(count, 3, size + 8, size + 8, generator=random) * 255
    smooth = 128 + 4 * (torch.nn.functional.avg_pool2d(smooth, 9, 1) - 128)
    noisy = smooth + 20 * torch.randn(smooth.shape, generator=random)
    return smooth.clamp(0, 255).round(), noisy.clamp(0, 255).round()


@pytest.mark.parametrize("size", [180, 201])
def test_five_scales_agree_with_torchmetrics(size):
    x, y = photographs(2, size)
    for ours, a, b in zip(compute_ms_ssim(x, y), x, y, strict=True):
        theirs = multiscale_structural_similarity_index_measure(a[None], b[None], data_range=255.0)
        assert float(ours) == pytest.approx(float(theirs), abs=1e-4)


@pytest.mark.parametrize(("size", "window"), [(21, 11), (11, 11), (8, 7), (3, 3), (1, 1)])
def test_one_scale_agrees_with_torchmetrics(size, window):
    x, y = (side.double() for side in photographs(3, size))
    theirs = structural_similarity_index_measure(
        x, y, data_range=255.0, sigma=1.5 * window / 11, reduction="none"
    )
    assert torch.allclose(compute_ms_ssim(x, y), theirs.clamp(min=0))


def test_opposite_images_are_not_alike_at_all_and_equal_ones_wholly():
    x, _ = photographs(3, 40)
    assert torch.equal(compute_ms_ssim(x, 255 - x), torch.zeros(3, dtype=torch.float64))
    assert torch.allclose(compute_ms_ssim(x, x), torch.ones(3, dtype=torch.float64))


def test_ms_ssim_is_the_mean_over_pairs_none_of_which_share_a_fake():
    x, _ = photographs(7, 16)
    fake = FeatureSet(torch.zeros(7, 1), images=x.to(torch.uint8))
    of_all = METRICS.make("ms_ssim").similarities_of_pairs(fake)
    assert len(of_all) == 3
    assert measured("ms_ssim", fake, fake).value == pytest.approx(float(of_all.mean()))
    assert measured("ms_ssim(pairs=2)", fake, fake).value == pytest.approx(float(of_all[:2].mean()))
    one = measured("ms_ssim(pairs=1)", fake, fake)
    assert (one.value, one.standard_error) == (pytest.approx(float(of_all[0])), None)


def test_points_are_no_images():
    with pytest.raises(MetricNotApplicable, match="needs images"):
        measured("ms_ssim", points(np.eye(9)), points(np.eye(9)))
