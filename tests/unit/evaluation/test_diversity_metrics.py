"""Diversity metrics against known values, dense recomputations and repeated samples."""

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

from ganbench.evaluation.metrics import METRICS, pairwise, support, vendi
from ganbench.evaluation.metrics.base import MetricNotApplicable, compute_pairwise_statistics
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.evaluation.metrics.ms_ssim import compute_ms_ssim
from ganbench.evaluation.reference_cache import DiskCache

FEATURE_METRICS = ("ndb(bins=20)", "js(bins=20)", "vendi", "vendi(order=2)", "rke", "support")
DIVERSITY_METRICS = (*FEATURE_METRICS, "ms_ssim")
CLUSTER_CENTRES = np.random.default_rng(99).standard_normal((10, 8))


def feature_set(features):
    return FeatureSet(torch.as_tensor(np.asarray(features), dtype=torch.float32))


def cluster_samples(count, seed=0, cluster_count=10, shift=0.0):
    """Returns points of `cluster_count` of ten clusters, and images that differ as they do."""
    random = np.random.default_rng(seed)
    features = CLUSTER_CENTRES[
        random.integers(0, cluster_count, count)
    ] + 0.3 * random.standard_normal((count, 8))
    samples = feature_set(features + shift)
    waves = np.cos(np.outer(np.arange(1, 9), np.arange(14)))
    images = (
        128 + 20 * (features @ waves)[:, None, :, None] + 20 * (features @ waves)[:, None, None]
    )
    samples.images = torch.as_tensor(images.clip(0, 255), dtype=torch.uint8)
    return samples


def vendi_score(features, order=1.0):
    return math.exp(vendi.cosine_entropy(features, order)[0])


def measure(name, fake, real):
    return METRICS.make(name)(fake, real)


# Every diversity metric


@pytest.mark.parametrize("name", DIVERSITY_METRICS)
def test_lost_clusters_score_worse_than_floor(name):
    real, metric = cluster_samples(3000, 1), METRICS.make(name)
    good, bad = (
        metric(cluster_samples(600, 2), real),
        metric(cluster_samples(600, 3, cluster_count=3), real),
    )
    floor = metric.expected_floor(real, 600)
    assert abs(good.value - floor) < 4 * good.standard_error + 0.02 * floor
    sign = {"lower": 1, "higher": -1}[metric.direction]
    assert sign * (bad.value - floor) > 8 * bad.standard_error


MAX_ERROR_RATIOS = {
    "ndb(bins=20)": 1.6,
    "js(bins=20)": 1.45,
}  # under the null, as their modules document


@pytest.mark.parametrize("name", DIVERSITY_METRICS)
@pytest.mark.parametrize("cluster_count", [10, 6])
def test_standard_error_matches_spread_over_repeated_samples(name, cluster_count):
    real, draws = cluster_samples(1000, 1), 120 if name != "ms_ssim" else 60
    measurements = [
        measure(name, cluster_samples(300, 100 + n, cluster_count), real) for n in range(draws)
    ]
    mean_error = np.mean([m.standard_error for m in measurements])
    assert (
        0.75
        < mean_error / np.std([m.value for m in measurements], ddof=1)
        < MAX_ERROR_RATIOS.get(name, 1.3)
    )


@pytest.mark.parametrize("name", FEATURE_METRICS)
def test_value_is_invariant_to_similarity_transforms(name):
    rotation, _ = np.linalg.qr(np.random.default_rng(5).standard_normal((8, 8)))
    fake, real = cluster_samples(300, 1, cluster_count=7), cluster_samples(400, 2)
    shift = 0.0 if name.startswith("vendi") else 2.0  # cosine similarities depend on the origin
    original = measure(name, fake, real).value
    transformed = [
        feature_set(3 * side.features.numpy() @ rotation + shift) for side in (fake, real)
    ]
    assert measure(name, *transformed).value == pytest.approx(original, rel=1e-4)


@pytest.mark.parametrize("name", FEATURE_METRICS)
@pytest.mark.parametrize(
    "fake",
    [np.zeros((60, 3)), np.full((60, 3), 1e12), np.eye(60, 3) * 1e-30],
    ids=["zeros", "far", "tiny"],
)
def test_degenerate_fakes_give_finite_value_and_error(name, fake):
    real = feature_set(np.random.default_rng(0).standard_normal((100, 3)))
    measurement = METRICS.make(name.replace("20", "5"))(feature_set(fake), real)
    assert math.isfinite(measurement.value)
    assert math.isfinite(measurement.standard_error)


@pytest.mark.parametrize("name", ["ndb(bins=5)", "js(bins=5)", "rke"])
def test_identical_reals_raise_not_applicable(name):
    with pytest.raises(MetricNotApplicable, match="the reals are all alike"):
        measure(name, feature_set(np.ones((60, 3))), feature_set(np.ones((100, 3))))


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
def test_invalid_settings_raise_value_error(spec):
    with pytest.raises(ValueError, match=r"must (be|lie)"):
        METRICS.make(spec)


def test_metrics_share_one_pairwise_pass(monkeypatch):
    metrics = [METRICS.make(name) for name in DIVERSITY_METRICS]
    alone = [metric(cluster_samples(200, 1), cluster_samples(400, 2)) for metric in metrics]
    fake, real = cluster_samples(200, 1), cluster_samples(400, 2)
    compute_pairwise_statistics(metrics, fake, real)
    monkeypatch.setattr(
        pairwise.CentredPairs, "iter_tiles", lambda pairs: pytest.fail("a second pass")
    )
    assert [metric(fake, real) for metric in metrics] == alone


def test_real_statistics_are_cached_on_disk(tmp_path, monkeypatch):
    fake, metrics, measurements = (
        cluster_samples(200, 1),
        [METRICS.make(name) for name in DIVERSITY_METRICS],
        [],
    )
    for _ in range(2):
        real = cluster_samples(400, 2)
        real.cache = DiskCache(tmp_path, CPU)
        measurements.append([metric(fake, real) for metric in metrics])
        monkeypatch.setattr(
            "ganbench.evaluation.metrics.kmeans_bins.lloyd_iterations",
            lambda *_: pytest.fail("computed again"),
        )
    assert measurements[0] == measurements[1]


# Bins


def test_ndb_and_js_equal_scipy():
    fake, real = cluster_samples(500, 1, cluster_count=7), cluster_samples(1000, 2)
    metric = METRICS.make("ndb(bins=20)")
    centres = metric.cached_bins(real)["centres"].numpy()
    fake_counts, real_counts = (
        metric.count_fakes(fake, real).numpy(),
        metric.count_reals(real).numpy(),
    )
    nearest = cdist(fake.features.double().numpy(), centres).argmin(1)
    assert np.array_equal(fake_counts, np.bincount(nearest, minlength=20))
    assert real_counts.sum() == 500  # the half that the centres were not fitted to
    occupied = [counts for counts in zip(fake_counts, real_counts, strict=True) if any(counts)]
    tables = [[[a, 500 - a], [b, 500 - b]] for a, b in occupied]
    different = [chi2_contingency(table, correction=False).pvalue < 0.05 for table in tables]
    assert metric(fake, real).value == sum(different) / 20
    js = measure("js(bins=20)", fake, real).value
    assert js == pytest.approx(jensenshannon(fake_counts, real_counts) ** 2, rel=1e-9)


@pytest.mark.parametrize("width", [2, 600])
def test_ndb_of_real_distribution_equals_its_level(width):
    """Centres fitted to the reals that are counted would give 0.6 with 600 features."""
    values = []
    for seed in range(12):
        random = np.random.default_rng(seed)
        fake, real = (feature_set(random.standard_normal((n, width))) for n in (500, 800))
        values.append(measure("ndb(bins=25)", fake, real).value)
    limit = 4 * (0.05 * 0.95 / (12 * 25)) ** 0.5
    assert np.mean(values) == pytest.approx(0.05, abs=limit)


def test_distant_fakes_fall_into_one_bin():
    fake, real = cluster_samples(300, 1, shift=1e6), cluster_samples(1000, 2)
    assert measure("ndb(bins=20)", fake, real).value > 0.7
    real_shares = METRICS.make("js(bins=20)").count_reals(real) / 500
    fake_shares = METRICS.make("js(bins=20)").count_fakes(fake, real) / 300
    assert measure("js(bins=20)", fake, real).value == pytest.approx(
        jensenshannon(real_shares, fake_shares) ** 2
    )


def test_few_or_repeated_reals_give_fewer_bins():
    assert len(METRICS.make("ndb").count_reals(cluster_samples(300))) == 15
    repeated = feature_set(np.arange(300)[:, None] % 3)
    metric = METRICS.make("ndb")
    assert metric.count_reals(repeated).sum() == 150
    assert len(metric.count_reals(repeated)) == 3
    assert metric(feature_set(np.arange(60)[:, None] % 2), repeated).value == 1


def test_too_few_samples_for_bins_are_rejected():
    with pytest.raises(MetricNotApplicable, match="at least 40 reals"):
        measure("js", cluster_samples(300), cluster_samples(39))
    with pytest.raises(MetricNotApplicable, match="15 bins need at least 75 fakes"):
        measure("ndb", cluster_samples(74), cluster_samples(300))
    assert measure("js", cluster_samples(2), cluster_samples(300)).value <= math.log(2)


# Vendi


def test_vendi_score_equals_known_values():
    split = np.repeat(np.eye(2), (70, 30), axis=0)
    for order, expected in ((1, 1.8420228), (2, 1.7241379)):
        assert vendi_score(torch.tensor(split), order) == pytest.approx(expected, rel=1e-7)
        assert vendi_score(torch.eye(12), order) == pytest.approx(12)
        assert vendi_score(torch.full((12, 5), 3.0), order) == pytest.approx(1)


@pytest.mark.parametrize("order", [0.5, 1, 2, 3.5])
@pytest.mark.parametrize("width", [3, 200], ids=["dual", "gram"])
def test_vendi_equals_entropy_of_cosine_eigenvalues(order, width):
    x = np.random.default_rng(0).standard_normal((80, width)) + 0.5
    x = x.astype(np.float32).astype(float)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    shares = np.linalg.eigvalsh(unit @ unit.T / 80)
    shares = shares[shares > 1e-12]
    shannon = -(shares * np.log(shares)).sum()
    renyi = shannon if order == 1 else np.log((shares**order).sum()) / (1 - order)
    assert vendi_score(torch.tensor(x), order) == pytest.approx(np.exp(renyi), rel=1e-9)


def test_vendi_depends_on_directions_only():
    random = np.random.default_rng(0)
    x = random.standard_normal((50, 4))
    lengths = random.uniform(1e-20, 1e20, (50, 1))
    assert vendi_score(torch.tensor(x * lengths)) == pytest.approx(vendi_score(torch.tensor(x)))
    assert vendi_score(torch.zeros(9, 4)) == pytest.approx(1)
    assert vendi_score(torch.cat([torch.zeros(9, 4), torch.ones(9, 4)])) == pytest.approx(2)


def test_vendi_uses_evenly_spaced_reals():
    fake, real = cluster_samples(100, 1), cluster_samples(300, 2)
    expected = vendi_score(fake.features) / vendi_score(real.features[::3])
    assert measure("vendi", fake, real).value == pytest.approx(expected)
    assert measure("vendi", real, real).value == pytest.approx(1)


def test_vendi_of_more_fakes_than_reals_does_not_depend_on_their_order():
    """The files of a folder are often ordered by class: the first ones are then less diverse."""
    fake, real = cluster_samples(900, 1), cluster_samples(300, 2)
    by_cluster = cdist(fake.features, CLUSTER_CENTRES).argmin(1).argsort()
    mixed, ordered = (
        measure("vendi", side, real) for side in (fake, feature_set(fake.features[by_cluster]))
    )
    assert ordered.value == pytest.approx(mixed.value, abs=3 * mixed.standard_error)
    assert ordered == measure("vendi", feature_set(fake.features[by_cluster]), real)


# RKE


def mean_squared_kernel(x, bandwidth):
    """Returns the mean squared Gaussian kernel over pairs."""
    return np.exp(-((pdist(x) / bandwidth) ** 2)).mean()


def test_rke_is_ratio_of_order_two_entropies():
    fake, real = cluster_samples(150, 1, cluster_count=7), cluster_samples(200, 2)
    x, y = (side.features.double().numpy() for side in (fake, real))
    bandwidth = 0.5 * np.median(pdist(y))
    expected = (1 + 149 * mean_squared_kernel(y, bandwidth)) / (
        1 + 149 * mean_squared_kernel(x, bandwidth)
    )
    assert measure("rke", fake, real).value == pytest.approx(expected, rel=1e-4)
    matrix = np.exp(-((cdist(y, y) / bandwidth) ** 2) / 2) / 200
    real_score = 1 / np.square(matrix).sum()
    assert 200 / (1 + 199 * mean_squared_kernel(y, bandwidth)) == pytest.approx(real_score)
    assert measure("rke", real, real).value == pytest.approx(1)


def test_rke_counts_separated_clusters():
    """Fakes cover four of ten clusters that do not overlap; both samples are equally large."""
    centres = 100 * np.eye(10)
    real, fake = (
        feature_set(np.repeat(centres, 50, axis=0)),
        feature_set(np.repeat(centres[:4], 125, axis=0)),
    )
    assert measure("rke(width=0.1)", fake, real).value == pytest.approx(0.4)
    assert measure("rke(width=0.1)", feature_set(centres[[0] * 500]), real).value == pytest.approx(
        0.1
    )


# Support


def test_support_estimates_number_of_distinct_examples():
    """Samples contain exact copies, whose distances are rounding errors."""
    random = np.random.default_rng(0)
    examples = random.standard_normal((50, 6)) + 10
    real = feature_set(examples[random.integers(0, 50, 400)])
    measurement = measure("support", feature_set(examples[random.integers(0, 50, 300)]), real)
    assert measurement.value == pytest.approx(50, abs=4 * measurement.standard_error)
    measurement = measure("support", feature_set(examples[random.integers(0, 20, 300)]), real)
    assert measurement.value == pytest.approx(20, abs=4 * measurement.standard_error)


@pytest.mark.parametrize("width", [1, 700])
def test_support_counts_exact_copies_as_one(width):
    x = np.random.default_rng(0).standard_normal((1, width)) + 5
    identical, distinct = (
        feature_set(np.repeat(x, 40, axis=0)),
        feature_set(x + np.arange(40)[:, None]),
    )
    assert measure("support", identical, identical).value == 1
    assert measure("support", identical, distinct).value == 1
    with pytest.raises(MetricNotApplicable, match="support is more than 780 examples"):
        measure("support", distinct, identical)


def test_support_is_inverse_share_of_near_pairs():
    fake, real = cluster_samples(200, 1, cluster_count=5), cluster_samples(300, 2)
    x, y = (side.features.double().numpy() for side in (fake, real))
    nearest = np.sort(cdist(y, y))[:, 1]
    reach = np.sort(nearest)[(300 - 1) // 2]
    assert support.collision_reach(real) == pytest.approx(reach**2)
    share = (pdist(x) <= reach).mean()
    assert measure("support", fake, real).value == pytest.approx(1 / share)


# MS-SSIM


def image_pairs(count, size, seed=0):
    """Returns smooth images and noisy copies: floats in [0, 255], shape [N, 3, S, S]."""
    random = torch.Generator().manual_seed(seed)
    smooth = torch.rand(count, 3, size + 8, size + 8, generator=random) * 255
    smooth = 128 + 4 * (torch.nn.functional.avg_pool2d(smooth, 9, 1) - 128)
    noisy = smooth + 20 * torch.randn(smooth.shape, generator=random)
    return smooth.clamp(0, 255).round(), noisy.clamp(0, 255).round()


@pytest.mark.parametrize("size", [180, 201])
def test_ms_ssim_equals_torchmetrics(size):
    x, y = image_pairs(2, size)
    for similarity, a, b in zip(compute_ms_ssim(x, y), x, y, strict=True):
        expected = multiscale_structural_similarity_index_measure(
            a[None], b[None], data_range=255.0
        )
        assert float(similarity) == pytest.approx(float(expected), abs=1e-4)


@pytest.mark.parametrize(("size", "window"), [(21, 11), (11, 11), (8, 7), (3, 3), (1, 1)])
def test_small_image_ms_ssim_equals_torchmetrics_ssim(size, window):
    x, y = (side.double() for side in image_pairs(3, size))
    expected = structural_similarity_index_measure(
        x, y, data_range=255.0, sigma=1.5 * window / 11, reduction="none"
    )
    assert torch.allclose(compute_ms_ssim(x, y), expected.clamp(min=0))


def test_ms_ssim_ranges_from_zero_to_one():
    x, _ = image_pairs(3, 40)
    assert torch.equal(compute_ms_ssim(x, 255 - x), torch.zeros(3, dtype=torch.float64))
    assert torch.allclose(compute_ms_ssim(x, x), torch.ones(3, dtype=torch.float64))


def test_ms_ssim_averages_disjoint_pairs():
    x, _ = image_pairs(7, 16)
    fake = FeatureSet(torch.zeros(7, 1), images=x.to(torch.uint8))
    similarities = METRICS.make("ms_ssim").similarities_of_pairs(fake)
    assert len(similarities) == 3
    assert measure("ms_ssim", fake, fake).value == pytest.approx(float(similarities.mean()))
    assert measure("ms_ssim(pairs=2)", fake, fake).value == pytest.approx(
        float(similarities[:2].mean())
    )
    single = measure("ms_ssim(pairs=1)", fake, fake)
    assert (single.value, single.standard_error) == (pytest.approx(float(similarities[0])), None)


def test_ms_ssim_needs_images():
    with pytest.raises(MetricNotApplicable, match="needs images"):
        measure("ms_ssim", feature_set(np.eye(9)), feature_set(np.eye(9)))
