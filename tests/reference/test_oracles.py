"""Metrics against independent libraries, and each shortcut against the plain computation.

Oracles compute in double precision. For float32 features torch-fidelity computes means and kernels in
single precision and would be the less exact of the two. Numbers in comments are the largest deviations.
"""

import math
from functools import cache

import numpy as np
import pytest
import scipy.linalg
import torch
from helpers import CPU
from scipy.spatial.distance import cdist
from torch import nn
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from ganbench.data.base import IMAGE, NotDownloaded
from ganbench.evaluation.evaluator import Evaluator
from ganbench.evaluation.metrics import METRICS, frechet, kid_subsets, mind, pairwise
from ganbench.evaluation.metrics.base import compute_pairwise_statistics
from ganbench.evaluation.metrics.feature_set import FeatureSet

pytestmark = pytest.mark.filterwarnings("ignore:Metric .* will save all extracted features")

KID_SINGLE_PRECISION_ERROR = 4 * torch.finfo(torch.float32).eps  # relative to the mean kernel
PRDC = ("precision", "recall", "density", "coverage")
# Widths of features, by the precision of their products:
DOUBLE_PRECISION_WIDTHS, SINGLE_PRECISION_WIDTHS = (1, 2, 64, 512), (513, 1024)
DATA_SETS = ("digits", "fashion_mnist")


def features(count, width, seed=0, scale=1.0, shift=0.0):
    """Rectified Gaussians of unequal scales, like a network's last layer: float32 [N, D]."""
    x = np.random.default_rng(seed).standard_normal((count, width))
    x = x * np.linspace(0.5, 1.5, width) * scale + shift
    return torch.as_tensor(np.maximum(x, -0.5), dtype=torch.float32)


def sample_pair(width, fakes=1100, reals=1000, scale=1.1, shift=0.1):
    """Fakes and reals that differ slightly."""
    return FeatureSet(features(fakes, width, 1, scale, shift)), FeatureSet(
        features(reals, width, 2)
    )


@cache
def classifier_features(name, count=3000):
    """Features of the shipped classifier for held-out images, as fakes, and training images."""
    try:
        evaluator = Evaluator(name, CPU)
        sides = [
            side[IMAGE].images[:count] for side in (evaluator.split.held_out, evaluator.split.train)
        ]
    except NotDownloaded as missing:
        pytest.skip(str(missing))
    return tuple(map(evaluator.extract, sides))


def without_cache(sample):
    """The same sample without cached statistics."""
    return FeatureSet(sample.features, sample.logits)


def value(metric, fake, real=None):
    return METRICS.make(metric)(without_cache(fake), without_cache(real or fake)).value


def mean_kernel(fake, real):
    """Scale of the terms whose difference is KID."""
    x, y = fake.features.double(), real.features.double()
    return float((x @ y.T / x.shape[1] + 1).pow(3).mean())


def approx_kid(expected, fake, real):
    """Equality to five digits, or near zero to the precision of the products."""
    rounding = (
        1e-12
        if fake.features.shape[1] <= pairwise.MAX_COLUMNS_PER_PRODUCT
        else KID_SINGLE_PRECISION_ERROR
    )
    return pytest.approx(expected, rel=1e-5, abs=rounding * mean_kernel(fake, real))


# torch-fidelity


def torch_fidelity_fid(fake, real):
    sides = [fid_features_to_statistics(side.features.double()) for side in (fake, real)]
    return fid_statistics_to_metric(*sides, verbose=False)["frechet_inception_distance"]


def torch_fidelity_kid(fake, real, subsets, size):
    return kid_features_to_metric(
        fake.features.double(),
        real.features.double(),
        kid_subsets=subsets,
        kid_subset_size=size,
        verbose=False,
    )["kernel_inception_distance_mean"]


def torch_fidelity_precision_recall(fake, real, k=3):
    shares = prc_features_to_metric(fake.features, real.features, prc_neighborhood=k, verbose=False)
    return shares["precision"], shares["recall"]


def assert_precision_recall_agree(fake, real, k=3):
    precision, recall = torch_fidelity_precision_recall(fake, real, k)
    assert value(f"precision(k={k})", fake, real) == pytest.approx(precision, abs=2 / len(fake))
    assert value(f"recall(k={k})", fake, real) == pytest.approx(recall, abs=2 / len(real))


def assert_kid_agrees(fake, real, subsets, size):
    kid = value(f"kid_subsets(subsets={subsets}, subset_size={size})", fake, real)
    assert kid == approx_kid(torch_fidelity_kid(fake, real, subsets, size), fake, real)


@pytest.mark.parametrize("width", [2, 64, 512, 513])
def test_fid_equals_torch_fidelity(width):
    """To 4e-14. For one feature torch-fidelity has no covariance."""
    fake, real = sample_pair(width)
    assert value("fid", fake, real) == pytest.approx(torch_fidelity_fid(fake, real), rel=1e-8)


@pytest.mark.parametrize(
    ("fakes", "reals"), [(60, 70), (200, 60), (60, 200), (65, 64), (64, 65), (2, 200)]
)
def test_rank_deficient_fid_equals_torch_fidelity(fakes, reals):
    """To 2e-8: torch-fidelity takes roots of eigenvalues that are zero up to rounding."""
    fake, real = sample_pair(64, fakes, reals)
    assert value("fid", fake, real) == pytest.approx(torch_fidelity_fid(fake, real), rel=1e-5)


@pytest.mark.parametrize("dead", ["fakes", "reals", "both", "everything"])
def test_fid_with_dead_features_equals_torch_fidelity(dead):
    fake, real = sample_pair(32)
    if dead in ("fakes", "both", "everything"):
        fake.features[:, :8] = 0
    if dead in ("reals", "both"):
        real.features[:, 4:12] = 0.25
    if dead == "everything":
        fake.features[:] = fake.features[0].clone()
    assert value("fid", fake, real) == pytest.approx(torch_fidelity_fid(fake, real), rel=1e-5)


@pytest.mark.parametrize("size", [100, 500])
@pytest.mark.parametrize("shift", [0.0, 0.02, 0.3])
@pytest.mark.parametrize("width", DOUBLE_PRECISION_WIDTHS + SINGLE_PRECISION_WIDTHS)
def test_kid_subsets_equals_torch_fidelity(width, shift, size):
    fake, real = sample_pair(width, shift=shift)
    assert_kid_agrees(fake, real, 5, size)


@pytest.mark.parametrize("width", [64, 513])
def test_kid_subsets_of_1000_equals_torch_fidelity(width):
    assert_kid_agrees(*sample_pair(width, 2200, 2000), 3, 1000)


@pytest.mark.parametrize("width", [512, 513])
def test_kid_of_large_kernels_equals_torch_fidelity(width):
    """A common offset makes kernels 1e6 times as large as those of centred features."""
    fake, real = sample_pair(width)
    fake.features.add_(10)
    real.features.add_(10)
    assert_kid_agrees(fake, real, 5, 500)


@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("splits", [1, 10])
def test_inception_score_equals_torch_fidelity(classes, splits):
    logits = 3 * features(1234, classes)
    expected = isc_features_to_metric(logits, splits)["inception_score_mean"]
    score = value(f"is(splits={splits})", FeatureSet(features(1234, 2), logits))
    assert score == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("width", DOUBLE_PRECISION_WIDTHS + SINGLE_PRECISION_WIDTHS)
def test_precision_and_recall_equal_torch_fidelity(width):
    """They are equal; one tie may change them by 2 / N."""
    assert_precision_recall_agree(*sample_pair(width, 700, 600))


@pytest.mark.parametrize("k", [1, 5])
def test_precision_recall_equal_torch_fidelity_per_k(k):
    assert_precision_recall_agree(*sample_pair(16, 700, 600), k)


@pytest.mark.parametrize("name", DATA_SETS)
def test_classifier_features_score_like_torch_fidelity(name):
    """Of the 64 features, 7 are dead for digits and 13 for fashion_mnist."""
    fake, real = classifier_features(name)
    assert value("fid", fake, real) == pytest.approx(torch_fidelity_fid(fake, real), rel=1e-5)
    assert_kid_agrees(fake, real, 10, 250)
    assert_precision_recall_agree(fake, real)
    expected = isc_features_to_metric(fake.logits)["inception_score_mean"]
    assert value("is", fake) == pytest.approx(expected, rel=1e-6)


# torchmetrics


class IdentityExtractor(nn.Module):
    """An extractor that returns its input."""

    def __init__(self, width):
        super().__init__()
        self.num_features = width

    def forward(self, features):
        return features


def compute_with_torchmetrics(metric, fake, real):
    metric.update(real.features.double(), real=True)
    metric.update(fake.features.double(), real=False)
    return metric.compute()


@pytest.mark.parametrize("width", [1, 2, 64, 513])
def test_fid_equals_torchmetrics(width):
    fake, real = sample_pair(width)
    expected = compute_with_torchmetrics(
        FrechetInceptionDistance(IdentityExtractor(width)), fake, real
    )
    assert value("fid", fake, real) == pytest.approx(float(expected), rel=1e-8)


@pytest.mark.parametrize("width", [1, 64, 513])
def test_kid_of_all_pairs_equals_torchmetrics(width):
    """One subset of all examples: torchmetrics draws subsets from torch's global generator."""
    fake, real = sample_pair(width, 500, 500)
    oracle = KernelInceptionDistance(IdentityExtractor(width), subsets=1, subset_size=500)
    expected, _ = compute_with_torchmetrics(oracle, fake, real)
    assert value("kid", fake, real) == approx_kid(float(expected), fake, real)


def test_inception_score_equals_torchmetrics():
    """The splits agree once the shuffle of torchmetrics is undone; its spread has N - 1."""
    logits = 3 * features(1000, 10)
    torch.manual_seed(0)
    undo = torch.randperm(1000).argsort()
    shuffled = logits[np.random.RandomState(2020).permutation(1000)]
    torch.manual_seed(0)
    metric = InceptionScore(IdentityExtractor(10))
    metric.update(shuffled[undo].double())
    score = value("is", FeatureSet(features(1000, 2), logits))
    assert score == pytest.approx(float(metric.compute()[0]), rel=1e-6)


@pytest.mark.parametrize("name", DATA_SETS)
def test_classifier_features_score_like_torchmetrics(name):
    fake, real = (
        FeatureSet(side.features[:600], side.logits) for side in classifier_features(name)
    )
    expected = compute_with_torchmetrics(
        FrechetInceptionDistance(IdentityExtractor(64)), fake, real
    )
    assert value("fid", fake, real) == pytest.approx(float(expected), rel=1e-5)
    oracle = KernelInceptionDistance(IdentityExtractor(64), subsets=1, subset_size=600)
    expected, _ = compute_with_torchmetrics(oracle, fake, real)
    assert value("kid", fake, real) == approx_kid(float(expected), fake, real)


# Density and coverage (defined with <, unlike precision and recall with <=)


GRID = torch.arange(10.0)[:, None]
ONES = torch.ones(10, 3)


@pytest.mark.parametrize(
    ("fake", "real", "k", "density", "coverage"),
    [
        (GRID, GRID, 1, 1, 1),
        (GRID + 0.25, GRID, 1, 1.9, 1),
        (GRID[4].expand(10, 1), GRID, 1, 1, 0.1),
        (ONES, ONES, 3, 0, 0),
        (ONES, ONES, 5, 0, 0),
        (GRID + 1000, GRID, 5, 0, 0),
    ],
)
def test_density_and_coverage_match_known_sets(fake, real, k, density, coverage):
    fake, real = FeatureSet(fake), FeatureSet(real)
    assert value(f"density(k={k})", fake, real) == pytest.approx(density)
    assert value(f"coverage(k={k})", fake, real) == pytest.approx(coverage)


def test_coverage_floor_equals_combinatorial_value():
    real = FeatureSet(torch.zeros(5000, 1))
    assert METRICS.make("coverage").expected_floor(real, 5000) == pytest.approx(0.9687969, abs=1e-7)


def dense_metrics(fake, real, k=4):
    """All pairwise metrics from full matrices, in numpy and double precision."""
    x, y = (side.features.double().numpy() for side in (fake, real))
    within, among, across = cdist(x, x), cdist(y, y), cdist(x, y)
    fake_radii, real_radii = (np.sort(distances, axis=1)[:, k] for distances in (within, among))
    inside = across < real_radii
    return {
        f"precision(k={k})": (across <= real_radii).any(1).mean(),
        f"recall(k={k})": (across <= fake_radii[:, None]).any(0).mean(),
        f"density(k={k})": inside.sum() / (k * len(x)),
        f"coverage(k={k})": inside.any(0).mean(),
        "kid": dense_kid(x, y),
        "kid_subsets(subsets=3, subset_size=40)": dense_kid_of_subsets(x, y, 3, 40),
    }


def dense_kid(x, y):
    xx, yy, xy = ((a @ b.T / x.shape[1] + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    n, m = len(x), len(y)
    own = (xx.sum() - xx.trace()) / (n * (n - 1)) + (yy.sum() - yy.trace()) / (m * (m - 1))
    return own - 2 * xy.mean()


def dense_kid_of_subsets(x, y, subsets, size):
    random = np.random.RandomState(2020)
    draw = lambda side: side[random.choice(len(side), size, replace=False)]  # noqa: E731
    return np.mean([dense_kid(draw(x), draw(y)) for _ in range(subsets)])


@pytest.mark.parametrize("tile", [1, 1000, pairwise.PAIRS_PER_TILE])
@pytest.mark.parametrize("width", [1, 5, 600])
def test_tiled_pairwise_statistics_equal_dense_ones(monkeypatch, width, tile):
    """Tiles of one row, a few rows or all rows, with all metrics together as in a run."""
    monkeypatch.setattr(pairwise, "PAIRS_PER_TILE", tile)
    fake, real = sample_pair(width, 170, 130)
    expected = dense_metrics(fake, real)
    metrics = {name: METRICS.make(name) for name in expected}
    compute_pairwise_statistics(metrics.values(), fake, real)
    values = {name: metric(fake, real).value for name, metric in metrics.items()}
    for name in expected:
        approximately = (
            approx_kid if "kid" in name else lambda number, *_: pytest.approx(number, abs=1e-12)
        )
        assert values[name] == approximately(expected[name], fake, real)


# MIND


@pytest.mark.parametrize(
    ("width", "fakes", "reals", "directions", "expected"),
    [
        (2, 1100, 1000, 1000, 0.20958906412124634),
        (64, 1000, 1000, 200, 4.1085416078567505),
        (513, 700, 900, 1000, 36.031074330210686),
    ],
)
def test_mind_equals_torch_fidelity(width, fakes, reals, directions, expected):
    """Values of `mind_features_to_metric` in its repository at a51aa64, which is not released."""
    distance = value(f"mind(directions={directions})", *sample_pair(width, fakes, reals))
    assert distance == pytest.approx(expected, rel=1e-6)


def test_mind_matches_known_gaussians():
    """A shift by m adds 3 |m|², and a doubled deviation three times the number of features."""
    x, shift = features(4000, 6).double(), torch.tensor([2.0, 0, 1, 0, 0, 0])
    plain = torch.randn(2, 4000, 6, generator=torch.Generator().manual_seed(0))
    assert value("mind", FeatureSet(x + shift), FeatureSet(x)) == pytest.approx(15, rel=0.1)
    assert value("mind", FeatureSet(2 * plain[0]), FeatureSet(plain[1])) == pytest.approx(
        18, rel=0.1
    )
    assert value("mind", FeatureSet(x), FeatureSet(x)) == 0


def test_mind_of_one_feature_equals_sorted_gaps(monkeypatch):
    """For every block size of directions; the standard error of equal samples is 0."""
    x, y = np.random.default_rng(0).standard_normal((2, 500)) * [[1.0], [1.3]]
    sides = [FeatureSet(torch.as_tensor(side[:, None])) for side in (x, y)]
    gaps = np.sort(x) - np.sort(y)
    assert value("mind(directions=7)", *sides) == pytest.approx(3 * np.square(gaps).mean())
    monkeypatch.setattr(mind, "MAX_NUMBERS_AT_ONCE", 1000)
    assert value("mind(directions=7)", *sides) == pytest.approx(3 * np.square(gaps).mean())
    assert METRICS.make("mind")(sides[0], sides[0]).standard_error == 0


# FID's closed forms


def sample_with_moments(mean, covariance, seed):
    """Points in double precision with exactly this sample mean and covariance."""
    mean, covariance = np.atleast_1d(mean), np.atleast_2d(covariance)
    x = np.random.default_rng(seed).standard_normal((400, len(mean)))
    x -= x.mean(0)
    white = np.linalg.cholesky(np.atleast_2d(np.cov(x, rowvar=False)))
    x = np.linalg.solve(white, x.T).T @ np.linalg.cholesky(covariance).T
    return FeatureSet(torch.as_tensor(x + mean))


@pytest.mark.parametrize(
    ("mean", "covariance", "other", "expected"),
    [
        ([0.5] * 4, np.eye(4), np.eye(4), 1),
        ([0] * 4, np.eye(4), 4 * np.eye(4), 4),
        ([0] * 4, np.diag([1, 4, 9, 16]), np.diag([4, 1, 16, 9]), 4),
        ([1], [[1]], [[4]], 2),
        ([0] * 2, [[2, 1], [1, 3]], [[1, -0.5], [-0.5, 2]], 0.8122104140147),
    ],
)
def test_fid_of_gaussians_matches_to_twelve_digits(mean, covariance, other, expected):
    fake, real = (
        sample_with_moments([0] * len(mean), covariance, 1),
        sample_with_moments(mean, other, 2),
    )
    assert value("fid", fake, real) == pytest.approx(expected, rel=1e-12)
    assert value("fid", real, fake) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("width", [2, 64, 200])
def test_fid_equals_scipy_matrix_root(width):
    fake, real = sample_pair(width)
    x, y = (side.features.double().numpy() for side in (fake, real))
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    gap = np.square(x.mean(0) - y.mean(0)).sum()
    expected = gap + np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real)
    assert value("fid", fake, real) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("fakes", "reals"), [(300, 200), (30, 200), (300, 30), (30, 20)])
def test_fid_is_invariant_and_scales_quadratically(fakes, reals):
    """In double precision, also with fewer examples than features."""
    sides = [side.features.double() for side in sample_pair(40, fakes, reals)]
    rotation = torch.linalg.qr(torch.randn(40, 40, dtype=torch.float64))[0]

    def fid_after(change):
        return value("fid", *(FeatureSet(change(side)) for side in sides))

    plain = fid_after(lambda x: x)
    assert fid_after(lambda x: x @ rotation + 2) == pytest.approx(plain, rel=1e-9)
    assert fid_after(lambda x: x.flip(0)) == pytest.approx(plain, rel=1e-9)
    assert fid_after(lambda x: 3 * x) == pytest.approx(9 * plain, rel=1e-9)
    swapped = value("fid", FeatureSet(sides[1]), FeatureSet(sides[0]))
    assert swapped == pytest.approx(plain, rel=1e-6 if min(fakes, reals) <= 40 else 1e-9)


# Each shortcut against the plain computation


ALL_METRICS = (
    *("fid", "fid_unbiased", "kid", "kid_subsets(subsets=7, subset_size=50)", "is"),
    *(*PRDC, "precision(k=7)", "recall(k=1)", "density(k=3)", "coverage(k=1)"),
)


def with_logits(*sides):
    return [FeatureSet(side.features, features(len(side), 10)) for side in sides]


@pytest.mark.parametrize("width", [8, 600])
def test_batched_metrics_equal_single_metrics(width):
    """Bit for bit, including standard errors."""
    fake, real = with_logits(*sample_pair(width, 300, 280))
    compute_pairwise_statistics(map(METRICS.make, ALL_METRICS), fake, real)
    for name in ALL_METRICS:
        assert METRICS.make(name)(fake, real) == METRICS.make(name)(
            without_cache(fake), without_cache(real)
        )


@pytest.mark.parametrize("width", [8, 300])
def test_cached_real_statistics_serve_next_fakes(width):
    first, real = with_logits(*sample_pair(width, 310, 280))
    for fake in (first, FeatureSet(first.features * 0.9, first.logits)):
        compute_pairwise_statistics(map(METRICS.make, ALL_METRICS), fake, real)
        for name in ALL_METRICS:
            assert METRICS.make(name)(fake, real) == METRICS.make(name)(
                without_cache(fake), without_cache(real)
            )


@pytest.mark.parametrize("width", [8, 600])
def test_tile_size_changes_no_metric(monkeypatch, width):
    """Products of few and of many rows may round differently."""
    fake, real = sample_pair(width, 300, 280)
    names = [name for name in ALL_METRICS if name != "is"]
    whole = {name: value(name, fake, real) for name in names}
    monkeypatch.setattr(pairwise, "PAIRS_PER_TILE", 280 * 17)
    for name in names:
        expected = (
            approx_kid(whole[name], fake, real) if "kid" in name else pytest.approx(whole[name])
        )
        assert value(name, fake, real) == expected


@pytest.mark.parametrize("width", [1, 7, 8, 9, 17, 100])
def test_striped_products_equal_plain_product(width):
    rows = features(50, width).double()
    start = features(width, width, 1).double()
    start = start + start.T
    scatter = start.clone()
    frechet.add_scatter(scatter, rows)
    torch.testing.assert_close(scatter, start + rows.T @ rows, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("block", [1, 37, 100, 4096])
def test_blockwise_moments_equal_numpy(monkeypatch, block):
    monkeypatch.setattr(frechet, "MEAN_BLOCK_ROWS", block)
    x = features(100, 5) + 100
    moments = frechet.compute_moments(x)
    np.testing.assert_allclose(moments.mean, x.double().numpy().mean(0), rtol=1e-14)
    expected = np.cov(x.double().numpy(), rowvar=False)
    np.testing.assert_allclose(moments.covariance, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("part", [(0, 1), (0, 50), (30, 37), (98, 100), (0, 98)])
def test_moments_without_part_equal_the_rest(part):
    x = features(100, 5) + 3
    first, end = part
    rest = frechet.compute_moments(torch.cat([x[:first], x[end:]]))
    difference = frechet.compute_moments(x).without(frechet.compute_moments(x[first:end]))
    assert difference.count == rest.count
    torch.testing.assert_close(difference.mean, rest.mean, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(difference.scatter, rest.scatter, rtol=1e-11, atol=1e-11)


def test_all_fid_formulas_agree():
    """By singular values of examples, by eigenvalues, and by the cached spectrum."""
    fake, real = sample_pair(40, 300, 280)
    by_singular_values = frechet.distance_by_singular_values(fake.features, real)
    by_spectrum = frechet.distance_by_spectrum(frechet.cached_moments(fake), real)
    assert by_singular_values == pytest.approx(by_spectrum, rel=1e-11)
    assert frechet.frechet_distance(fake, real) == pytest.approx(by_spectrum, rel=1e-11)


def test_fid_without_group_equals_fid_of_rest():
    fake, real = sample_pair(10, 100, 200)
    distances = frechet.distances_without_groups(fake, real)
    groups = frechet.draw_jackknife_groups(100, torch.device("cpu"))
    for left_out, distance in zip(groups, distances, strict=True):
        rest = FeatureSet(fake.features[~torch.isin(torch.arange(100), left_out)])
        assert float(distance) == pytest.approx(value("fid", rest, real), rel=1e-10)


@pytest.mark.parametrize("width", SINGLE_PRECISION_WIDTHS)
def test_single_precision_suffices_for_wide_features(monkeypatch, width):
    """Distances to 3e-7, KID to the rounding of the mean kernel, its standard error to 2e-6."""
    fake, real = sample_pair(width, 400, 380)
    names = ("kid", "kid_subsets(subsets=5, subset_size=100)", *PRDC)
    single = {name: METRICS.make(name)(*sample_pair(width, 400, 380)) for name in names}
    nearest = pairwise.pairwise_statistic(pairwise.NearestNeighbourDistances(5), fake, fake)["rows"]
    monkeypatch.setattr(pairwise, "MAX_COLUMNS_PER_PRODUCT", width)
    fake, real = sample_pair(width, 400, 380)
    exact = pairwise.pairwise_statistic(pairwise.NearestNeighbourDistances(5), fake, fake)["rows"]
    torch.testing.assert_close(nearest.double(), exact, rtol=2e-6, atol=0)
    for name in names:
        double = METRICS.make(name)(fake, real)
        scale = mean_kernel(fake, real) * KID_SINGLE_PRECISION_ERROR if "kid" in name else 2 / 380
        assert single[name].value == pytest.approx(double.value, rel=1e-5, abs=scale)
        if "kid" in name:
            assert single[name].standard_error == pytest.approx(double.standard_error, rel=1e-5)


@pytest.mark.parametrize("width", [4, 64, 600])
def test_common_offset_costs_no_digits(width):
    """Features are multiples of 1 / 1024, so single precision is exact after the shift too."""
    plain = [side.features.mul(1024).round().div(1024) for side in sample_pair(width, 500, 480)]
    near, far = ([FeatureSet(side + offset) for side in plain] for offset in (0, 1000))
    assert torch.equal(far[0].features - 1000, near[0].features)
    assert value("fid", *far) == pytest.approx(value("fid", *near), rel=1e-9)
    for name in PRDC:
        assert value(name, *far) == pytest.approx(value(name, *near), abs=2 / 480)


def test_subsets_are_drawn_like_torch_fidelity():
    """Alternately for fakes and reals, from one random generator."""
    sides = kid_subsets.SubsetDraw(4, 10, fakes=50, reals=40)
    random = np.random.RandomState(2020)
    for subset in range(4):
        for side, count in enumerate((50, 40)):
            expected = sorted(random.choice(count, 10, replace=False))
            assert sides.membership(side)[:, subset].nonzero().flatten().tolist() == expected


@pytest.mark.parametrize("name", [*PRDC, "kid"])
def test_pairwise_metrics_ignore_order_and_rotation(name):
    sides = [side.features.double() for side in sample_pair(30, 200, 180)]
    rotation = torch.linalg.qr(torch.randn(30, 30, dtype=torch.float64))[0]
    plain = value(name, *map(FeatureSet, sides))
    assert math.isfinite(plain)
    for change in (lambda x: x.flip(0), lambda x: x @ rotation):
        changed = [FeatureSet(change(side)) for side in sides]
        assert value(name, *changed) == pytest.approx(plain, rel=1e-9)
