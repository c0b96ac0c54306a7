"""The metric engine against independent ones, and each of its shortcuts against the long way round.

Oracles compute in double precision: of float32 features torch-fidelity takes means and kernels in
single, and would be the less exact of the two. Numbers in comments are the largest deviations seen.
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
from ganbench.evaluation.metrics import METRICS, frechet, kid_subsets, mind
from ganbench.evaluation.metrics import pairwise as gram
from ganbench.evaluation.metrics.base import compute_pairwise_statistics
from ganbench.evaluation.metrics.feature_set import FeatureSet

pytestmark = pytest.mark.filterwarnings("ignore:Metric .* will save all extracted features")

SINGLE = 4 * torch.finfo(torch.float32).eps  # of the mean kernel: what KID loses above NARROW
SHARES = ("precision", "recall", "density", "coverage")
NARROW, WIDE = (1, 2, 64, 512), (513, 1024)  # widths whose products are in double, and in single
SETS = ("digits", "fashion_mnist")


def features(count, width, seed=0, scale=1.0, shift=0.0):
    """Rectified normals of unequal scales, as a network's last layer gives: float32 [N, D]."""
    x = np.random.default_rng(seed).standard_normal((count, width))
    x = x * np.linspace(0.5, 1.5, width) * scale + shift
    return torch.as_tensor(np.maximum(x, -0.5), dtype=torch.float32)


def pair(width, fakes=1100, reals=1000, scale=1.1, shift=0.1):
    """Fakes and reals that are neither far nor equal."""
    return FeatureSet(features(fakes, width, 1, scale, shift)), FeatureSet(
        features(reals, width, 2)
    )


@cache
def extracted(name, count=3000):
    """Held-out images in the place of fakes, and training images, through the shipped classifier."""
    try:
        ruler = Evaluator(name, CPU)
        sides = [side[IMAGE].images[:count] for side in (ruler.split.held_out, ruler.split.train)]
    except NotDownloaded as missing:
        pytest.skip(str(missing))
    return tuple(map(ruler.extract, sides))


def fresh(sample):
    """One that nothing is known of yet."""
    return FeatureSet(sample.features, sample.logits)


def value(metric, fake, real=None):
    return METRICS.make(metric)(fresh(fake), fresh(real or fake)).value


def mean_kernel(fake, real):
    """The size of the numbers whose differences KID is."""
    x, y = fake.features.double(), real.features.double()
    return float((x @ y.T / x.shape[1] + 1).pow(3).mean())


def kid_near(expected, fake, real):
    """Equality to five digits, or near zero to what the precision of the products allows."""
    rounding = 1e-12 if fake.features.shape[1] <= gram.MAX_COLUMNS_PER_PRODUCT else SINGLE
    return pytest.approx(expected, rel=1e-5, abs=rounding * mean_kernel(fake, real))


# torch-fidelity


def their_fid(fake, real):
    sides = [fid_features_to_statistics(side.features.double()) for side in (fake, real)]
    return fid_statistics_to_metric(*sides, verbose=False)["frechet_inception_distance"]


def their_kid(fake, real, subsets, size):
    return kid_features_to_metric(
        fake.features.double(),
        real.features.double(),
        kid_subsets=subsets,
        kid_subset_size=size,
        verbose=False,
    )["kernel_inception_distance_mean"]


def their_shares(fake, real, k=3):
    found = prc_features_to_metric(fake.features, real.features, prc_neighborhood=k, verbose=False)
    return found["precision"], found["recall"]


def agrees_on_shares(fake, real, k=3):
    precision, recall = their_shares(fake, real, k)
    assert value(f"precision(k={k})", fake, real) == pytest.approx(precision, abs=2 / len(fake))
    assert value(f"recall(k={k})", fake, real) == pytest.approx(recall, abs=2 / len(real))


def agrees_on_kid(fake, real, subsets, size):
    ours = value(f"kid_subsets(subsets={subsets}, subset_size={size})", fake, real)
    assert ours == kid_near(their_kid(fake, real, subsets, size), fake, real)


@pytest.mark.parametrize("width", [2, 64, 512, 513])
def test_fid_agrees_with_torch_fidelity(width):
    """To 4e-14; of one feature torch-fidelity has no covariance."""
    fake, real = pair(width)
    assert value("fid", fake, real) == pytest.approx(their_fid(fake, real), rel=1e-8)


@pytest.mark.parametrize(
    ("fakes", "reals"), [(60, 70), (200, 60), (60, 200), (65, 64), (64, 65), (2, 200)]
)
def test_fid_agrees_with_torch_fidelity_when_covariances_have_no_full_rank(fakes, reals):
    """To 2e-8: torch-fidelity takes roots of eigenvalues that are zero but for rounding."""
    fake, real = pair(64, fakes, reals)
    assert value("fid", fake, real) == pytest.approx(their_fid(fake, real), rel=1e-5)


@pytest.mark.parametrize("dead", ["fakes", "reals", "both", "everything"])
def test_fid_agrees_with_torch_fidelity_when_features_are_dead(dead):
    fake, real = pair(32)
    if dead in ("fakes", "both", "everything"):
        fake.features[:, :8] = 0
    if dead in ("reals", "both"):
        real.features[:, 4:12] = 0.25
    if dead == "everything":
        fake.features[:] = fake.features[0].clone()
    assert value("fid", fake, real) == pytest.approx(their_fid(fake, real), rel=1e-5)


@pytest.mark.parametrize("size", [100, 500])
@pytest.mark.parametrize("shift", [0.0, 0.02, 0.3])
@pytest.mark.parametrize("width", NARROW + WIDE)
def test_kid_of_subsets_agrees_with_torch_fidelity(width, shift, size):
    fake, real = pair(width, shift=shift)
    agrees_on_kid(fake, real, 5, size)


@pytest.mark.parametrize("width", [64, 513])
def test_kid_of_the_usual_subsets_of_a_thousand_agrees_with_torch_fidelity(width):
    agrees_on_kid(*pair(width, 2200, 2000), 3, 1000)


@pytest.mark.parametrize("width", [512, 513])
def test_kid_of_large_kernels_agrees_with_torch_fidelity(width):
    """A common offset makes kernels 1e6 times a kernel of centred features."""
    fake, real = pair(width)
    fake.features.add_(10)
    real.features.add_(10)
    agrees_on_kid(fake, real, 5, 500)


@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("splits", [1, 10])
def test_inception_score_agrees_with_torch_fidelity(classes, splits):
    logits = 3 * features(1234, classes)
    expected = isc_features_to_metric(logits, splits)["inception_score_mean"]
    found = value(f"is(splits={splits})", FeatureSet(features(1234, 2), logits))
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("width", NARROW + WIDE)
def test_precision_and_recall_agree_with_torch_fidelity(width):
    """They are equal; 2 / N is what one tie may change."""
    agrees_on_shares(*pair(width, 700, 600))


@pytest.mark.parametrize("k", [1, 5])
def test_precision_and_recall_of_other_neighbours_agree_with_torch_fidelity(k):
    agrees_on_shares(*pair(16, 700, 600), k)


@pytest.mark.parametrize("name", SETS)
def test_extracted_features_score_as_torch_fidelity_has_it(name):
    """Of digits and of fashion_mnist 7 and 13 of the 64 features are dead."""
    fake, real = extracted(name)
    assert value("fid", fake, real) == pytest.approx(their_fid(fake, real), rel=1e-5)
    agrees_on_kid(fake, real, 10, 250)
    agrees_on_shares(fake, real)
    expected = isc_features_to_metric(fake.logits)["inception_score_mean"]
    assert value("is", fake) == pytest.approx(expected, rel=1e-6)


# torchmetrics


class Given(nn.Module):
    """Takes features for images."""

    def __init__(self, width):
        super().__init__()
        self.num_features = width

    def forward(self, features):
        return features


def torchmetrics_of(metric, fake, real):
    metric.update(real.features.double(), real=True)
    metric.update(fake.features.double(), real=False)
    return metric.compute()


@pytest.mark.parametrize("width", [1, 2, 64, 513])
def test_fid_agrees_with_torchmetrics(width):
    fake, real = pair(width)
    expected = torchmetrics_of(FrechetInceptionDistance(Given(width)), fake, real)
    assert value("fid", fake, real) == pytest.approx(float(expected), rel=1e-8)


@pytest.mark.parametrize("width", [1, 64, 513])
def test_kid_of_all_pairs_agrees_with_torchmetrics(width):
    """Its subsets come from torch's global generator: one of all examples is the same in any order."""
    fake, real = pair(width, 500, 500)
    whole = KernelInceptionDistance(Given(width), subsets=1, subset_size=500)
    expected, _ = torchmetrics_of(whole, fake, real)
    assert value("kid", fake, real) == kid_near(float(expected), fake, real)


def test_inception_score_agrees_with_torchmetrics():
    """Its spread has N - 1 and is no error of ours; its parts are ours if its shuffle is undone."""
    logits = 3 * features(1000, 10)
    torch.manual_seed(0)
    undo = torch.randperm(1000).argsort()
    shuffled = logits[np.random.RandomState(2020).permutation(1000)]
    torch.manual_seed(0)
    metric = InceptionScore(Given(10))
    metric.update(shuffled[undo].double())
    found = value("is", FeatureSet(features(1000, 2), logits))
    assert found == pytest.approx(float(metric.compute()[0]), rel=1e-6)


@pytest.mark.parametrize("name", SETS)
def test_extracted_features_score_as_torchmetrics_has_it(name):
    fake, real = (FeatureSet(side.features[:600], side.logits) for side in extracted(name))
    expected = torchmetrics_of(FrechetInceptionDistance(Given(64)), fake, real)
    assert value("fid", fake, real) == pytest.approx(float(expected), rel=1e-5)
    whole = KernelInceptionDistance(Given(64), subsets=1, subset_size=600)
    expected, _ = torchmetrics_of(whole, fake, real)
    assert value("kid", fake, real) == kid_near(float(expected), fake, real)


# Density and coverage, whose definition has < where precision and recall have <=


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
def test_density_and_coverage_of_known_sets(fake, real, k, density, coverage):
    fake, real = FeatureSet(fake), FeatureSet(real)
    assert value(f"density(k={k})", fake, real) == pytest.approx(density)
    assert value(f"coverage(k={k})", fake, real) == pytest.approx(coverage)


def test_the_coverage_of_equals_is_expected_where_combinatorics_has_it():
    real = FeatureSet(torch.zeros(5000, 1))
    assert METRICS.make("coverage").expected_floor(real, 5000) == pytest.approx(0.9687969, abs=1e-7)


def dense(fake, real, k=4):
    """All metrics of pairs from matrices of all pairs, in numpy and double precision."""
    x, y = (side.features.double().numpy() for side in (fake, real))
    within, among, across = cdist(x, x), cdist(y, y), cdist(x, y)
    ours, theirs = (np.sort(square, axis=1)[:, k] for square in (within, among))
    inside = across < theirs
    return {
        f"precision(k={k})": (across <= theirs).any(1).mean(),
        f"recall(k={k})": (across <= ours[:, None]).any(0).mean(),
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


@pytest.mark.parametrize("tile", [1, 1000, gram.PAIRS_PER_TILE])
@pytest.mark.parametrize("width", [1, 5, 600])
def test_a_sweep_in_tiles_gives_what_matrices_of_all_pairs_give(monkeypatch, width, tile):
    """Of one row, of a few, of all; together, as a run asks for them."""
    monkeypatch.setattr(gram, "PAIRS_PER_TILE", tile)
    fake, real = pair(width, 170, 130)
    expected = dense(fake, real)
    metrics = {name: METRICS.make(name) for name in expected}
    compute_pairwise_statistics(metrics.values(), fake, real)
    found = {name: metric(fake, real).value for name, metric in metrics.items()}
    for name in expected:
        near = kid_near if "kid" in name else lambda known, *_: pytest.approx(known, abs=1e-12)
        assert found[name] == near(expected[name], fake, real)


# MIND


@pytest.mark.parametrize(
    ("width", "fakes", "reals", "directions", "expected"),
    [
        (2, 1100, 1000, 1000, 0.20958906412124634),
        (64, 1000, 1000, 200, 4.1085416078567505),
        (513, 700, 900, 1000, 36.031074330210686),
    ],
)
def test_mind_is_what_torch_fidelity_gives(width, fakes, reals, directions, expected):
    """Values of `mind_features_to_metric` in its repository at a51aa64; no release has it yet."""
    found = value(f"mind(directions={directions})", *pair(width, fakes, reals))
    assert found == pytest.approx(expected, rel=1e-6)


def test_mind_of_known_gaussians():
    """A shift by m counts 3 |m|², twice the deviation three times the number of features."""
    x, shift = features(4000, 6).double(), torch.tensor([2.0, 0, 1, 0, 0, 0])
    plain = torch.randn(2, 4000, 6, generator=torch.Generator().manual_seed(0))
    assert value("mind", FeatureSet(x + shift), FeatureSet(x)) == pytest.approx(15, rel=0.1)
    assert value("mind", FeatureSet(2 * plain[0]), FeatureSet(plain[1])) == pytest.approx(
        18, rel=0.1
    )
    assert value("mind", FeatureSet(x), FeatureSet(x)) == 0


def test_mind_of_one_feature_is_scipys_distance(monkeypatch):
    """In blocks of directions of whatever size; the error of unmoved equals is that of nothing."""
    x, y = np.random.default_rng(0).standard_normal((2, 500)) * [[1.0], [1.3]]
    sides = [FeatureSet(torch.as_tensor(side[:, None])) for side in (x, y)]
    gaps = np.sort(x) - np.sort(y)
    assert value("mind(directions=7)", *sides) == pytest.approx(3 * np.square(gaps).mean())
    monkeypatch.setattr(mind, "MAX_NUMBERS_AT_ONCE", 1000)
    assert value("mind(directions=7)", *sides) == pytest.approx(3 * np.square(gaps).mean())
    assert METRICS.make("mind")(sides[0], sides[0]).standard_error == 0


# FID's closed forms


def exactly(mean, covariance, seed):
    """Points in double precision whose sample mean and covariance are exactly these."""
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
def test_fid_of_known_gaussians_to_twelve_digits(mean, covariance, other, expected):
    ours, theirs = exactly([0] * len(mean), covariance, 1), exactly(mean, other, 2)
    assert value("fid", ours, theirs) == pytest.approx(expected, rel=1e-12)
    assert value("fid", theirs, ours) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("width", [2, 64, 200])
def test_fid_agrees_with_scipys_matrix_root(width):
    fake, real = pair(width)
    x, y = (side.features.double().numpy() for side in (fake, real))
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    gap = np.square(x.mean(0) - y.mean(0)).sum()
    expected = gap + np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real)
    assert value("fid", fake, real) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("fakes", "reals"), [(300, 200), (30, 200), (300, 30), (30, 20)])
def test_fid_does_not_know_frames_nor_sides_and_has_a_squares_unit(fakes, reals):
    """In double precision; sides of fewer examples than features among them."""
    sides = [side.features.double() for side in pair(40, fakes, reals)]
    turn = torch.linalg.qr(torch.randn(40, 40, dtype=torch.float64))[0]

    def of(change):
        return value("fid", *(FeatureSet(change(side)) for side in sides))

    plain = of(lambda x: x)
    assert of(lambda x: x @ turn + 2) == pytest.approx(plain, rel=1e-9)
    assert of(lambda x: x.flip(0)) == pytest.approx(plain, rel=1e-9)
    assert of(lambda x: 3 * x) == pytest.approx(9 * plain, rel=1e-9)
    swapped = value("fid", FeatureSet(sides[1]), FeatureSet(sides[0]))
    assert swapped == pytest.approx(plain, rel=1e-6 if min(fakes, reals) <= 40 else 1e-9)


# Each shortcut against the long way round


EVERY = (
    *("fid", "fid_unbiased", "kid", "kid_subsets(subsets=7, subset_size=50)", "is"),
    *(*SHARES, "precision(k=7)", "recall(k=1)", "density(k=3)", "coverage(k=1)"),
)


def with_logits(*sides):
    return [FeatureSet(side.features, features(len(side), 10)) for side in sides]


@pytest.mark.parametrize("width", [8, 600])
def test_metrics_prepared_together_measure_what_each_measures_alone(width):
    """Bit by bit, standard errors too."""
    fake, real = with_logits(*pair(width, 300, 280))
    compute_pairwise_statistics(map(METRICS.make, EVERY), fake, real)
    for name in EVERY:
        assert METRICS.make(name)(fake, real) == METRICS.make(name)(fresh(fake), fresh(real))


@pytest.mark.parametrize("width", [8, 300])
def test_what_is_kept_of_the_reals_serves_the_next_fakes(width):
    first, real = with_logits(*pair(width, 310, 280))
    for fake in (first, FeatureSet(first.features * 0.9, first.logits)):
        compute_pairwise_statistics(map(METRICS.make, EVERY), fake, real)
        for name in EVERY:
            assert METRICS.make(name)(fake, real) == METRICS.make(name)(fresh(fake), fresh(real))


@pytest.mark.parametrize("width", [8, 600])
def test_the_size_of_tiles_changes_no_metric(monkeypatch, width):
    """A product of few rows may round otherwise than one of many."""
    fake, real = pair(width, 300, 280)
    names = [name for name in EVERY if name != "is"]
    whole = {name: value(name, fake, real) for name in names}
    monkeypatch.setattr(gram, "PAIRS_PER_TILE", 280 * 17)
    for name in names:
        near = kid_near(whole[name], fake, real) if "kid" in name else pytest.approx(whole[name])
        assert value(name, fake, real) == near


@pytest.mark.parametrize("width", [1, 7, 8, 9, 17, 100])
def test_products_in_stripes_are_the_plain_product(width):
    rows = features(50, width).double()
    start = features(width, width, 1).double()
    start = start + start.T
    found = start.clone()
    frechet.add_scatter(found, rows)
    torch.testing.assert_close(found, start + rows.T @ rows, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("block", [1, 37, 100, 4096])
def test_moments_of_blocks_are_numpys(monkeypatch, block):
    monkeypatch.setattr(frechet, "MEAN_BLOCK_ROWS", block)
    x = features(100, 5) + 100
    found = frechet.compute_moments(x)
    np.testing.assert_allclose(found.mean, x.double().numpy().mean(0), rtol=1e-14)
    expected = np.cov(x.double().numpy(), rowvar=False)
    np.testing.assert_allclose(found.covariance, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("part", [(0, 1), (0, 50), (30, 37), (98, 100), (0, 98)])
def test_moments_without_a_part_are_those_of_the_rest(part):
    x = features(100, 5) + 3
    first, end = part
    rest = frechet.compute_moments(torch.cat([x[:first], x[end:]]))
    found = frechet.compute_moments(x).without(frechet.compute_moments(x[first:end]))
    assert found.count == rest.count
    torch.testing.assert_close(found.mean, rest.mean, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(found.scatter, rest.scatter, rtol=1e-11, atol=1e-11)


def test_the_fid_of_few_fakes_and_that_of_many_are_one_formula():
    """By singular values of examples, by eigenvalues, and by the ones kept with their vectors."""
    fake, real = pair(40, 300, 280)
    short = frechet.distance_by_singular_values(fake.features, real)
    long = frechet.distance_by_spectrum(frechet.cached_moments(fake), real)
    assert short == pytest.approx(long, rel=1e-11)
    assert frechet.frechet_distance(fake, real) == pytest.approx(long, rel=1e-11)


def test_the_fid_without_a_group_is_that_of_the_rest():
    fake, real = pair(10, 100, 200)
    found = frechet.distances_without_groups(fake, real)
    for left_out, distance in zip(torch.arange(100).tensor_split(20), found, strict=True):
        rest = FeatureSet(fake.features[~torch.isin(torch.arange(100), left_out)])
        assert float(distance) == pytest.approx(value("fid", rest, real), rel=1e-10)


@pytest.mark.parametrize("width", WIDE)
def test_products_in_single_precision_do_for_wide_features(monkeypatch, width):
    """Distances to 3e-7; KID to SINGLE of the mean kernel, its standard error to 2e-6."""
    fake, real = pair(width, 400, 380)
    names = ("kid", "kid_subsets(subsets=5, subset_size=100)", *SHARES)
    single = {name: METRICS.make(name)(*pair(width, 400, 380)) for name in names}
    nearest = gram.pairwise_statistic(gram.NearestNeighbourDistances(5), fake, fake)["rows"]
    monkeypatch.setattr(gram, "MAX_COLUMNS_PER_PRODUCT", width)
    fake, real = pair(width, 400, 380)
    exact = gram.pairwise_statistic(gram.NearestNeighbourDistances(5), fake, fake)["rows"]
    torch.testing.assert_close(nearest.double(), exact, rtol=2e-6, atol=0)
    for name in names:
        double = METRICS.make(name)(fake, real)
        scale = mean_kernel(fake, real) * SINGLE if "kid" in name else 2 / 380
        assert single[name].value == pytest.approx(double.value, rel=1e-5, abs=scale)
        if "kid" in name:
            assert single[name].standard_error == pytest.approx(double.standard_error, rel=1e-5)


@pytest.mark.parametrize("width", [4, 64, 600])
def test_a_common_offset_of_a_thousand_costs_no_digits(width):
    """Features are multiples of 1 / 1024 here, so that single precision holds them moved as well."""
    plain = [side.features.mul(1024).round().div(1024) for side in pair(width, 500, 480)]
    near, far = ([FeatureSet(side + offset) for side in plain] for offset in (0, 1000))
    assert torch.equal(far[0].features - 1000, near[0].features)
    assert value("fid", *far) == pytest.approx(value("fid", *near), rel=1e-9)
    for name in SHARES:
        assert value(name, *far) == pytest.approx(value(name, *near), abs=2 / 480)


def test_subsets_are_drawn_as_torch_fidelity_draws_them():
    """Fakes and reals by turns, from one generator."""
    sides = kid_subsets.SubsetDraw(4, 10, fakes=50, reals=40)
    random = np.random.RandomState(2020)
    for subset in range(4):
        for side, count in enumerate((50, 40)):
            expected = sorted(random.choice(count, 10, replace=False))
            assert sides.membership(side)[:, subset].nonzero().flatten().tolist() == expected


@pytest.mark.parametrize("name", [*SHARES, "kid"])
def test_metrics_of_pairs_do_not_know_order_nor_frames(name):
    sides = [side.features.double() for side in pair(30, 200, 180)]
    turn = torch.linalg.qr(torch.randn(30, 30, dtype=torch.float64))[0]
    plain = value(name, *map(FeatureSet, sides))
    assert math.isfinite(plain)
    for change in (lambda x: x.flip(0), lambda x: x @ turn):
        changed = [FeatureSet(change(side)) for side in sides]
        assert value(name, *changed) == pytest.approx(plain, rel=1e-9)
