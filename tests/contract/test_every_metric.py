"""Metrics against golden values, independent libraries, and hostile inputs."""

import itertools
import math
from dataclasses import fields, replace
from functools import partial

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial
import torch
from helpers import CPU, split
from torch.nn.functional import one_hot

from ganbench.data.base import IMAGE, Mixture
from ganbench.data.bouncing import BouncingLaw
from ganbench.data.captions import Grammar
from ganbench.evaluation.evaluator import Evaluator
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import MetricNotApplicable
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.gan.latent_sampler import LatentSampler
from ganbench.training.sampling import GeneratedSamples

RING = split("ring").mixture
MOTION = BouncingLaw(frames=8, width=8, speeds=(1, 2))
every_metric = pytest.mark.parametrize("name", METRICS.entries)


def normal(count, width, seed=0):
    return np.random.default_rng(seed).standard_normal((count, width))


def sample(features, logits=None, mixture=None):
    features = torch.as_tensor(np.asarray(features), dtype=torch.float32)
    logits = None if logits is None else torch.as_tensor(np.asarray(logits), dtype=torch.float32)
    return FeatureSet(features.reshape(len(features), -1), logits, mixture=mixture)


def value(metric, fake, real=None):
    result = METRICS.make(metric)(fake, real or fake).value
    assert type(result) is float
    assert math.isfinite(result)
    return result


def sample_with_moments(mean, covariance, count=400, seed=0):
    """Points with exactly this sample mean and covariance."""
    mean, covariance = np.atleast_1d(mean), np.atleast_2d(covariance)
    x = normal(count, len(mean), seed)
    x = (x - x.mean(0)) @ np.linalg.inv(
        np.linalg.cholesky(np.cov(x, rowvar=False).reshape(len(mean), -1))
    ).T
    return sample(x @ np.linalg.cholesky(covariance).T + mean)


def scipy_fid(x, y):
    x, y = x.features.double().numpy(), y.features.double().numpy()
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(a @ b).real
    return np.square(x.mean(0) - y.mean(0)).sum() + np.trace(a + b - 2 * root)


# FID


@pytest.mark.parametrize(
    ("mean", "covariance", "other", "expected"),
    [
        ([0.5] * 4, np.eye(4), np.eye(4), 1.0),
        ([0] * 4, np.eye(4), 4 * np.eye(4), 4.0),
        ([0] * 4, np.diag([1, 4, 9, 16]), np.diag([4, 1, 16, 9]), 4.0),
        ([0] * 2, [[2, 1], [1, 3]], [[1, -0.5], [-0.5, 2]], 0.8122104140147),
    ],
)
def test_fid_matches_known_gaussians(mean, covariance, other, expected):
    fake, real = (
        sample_with_moments([0] * len(mean), covariance, seed=1),
        sample_with_moments(mean, other, seed=2),
    )
    assert value("fid", fake, real) == pytest.approx(expected, rel=1e-5)
    assert value("fid", real, fake) == pytest.approx(expected, rel=1e-5)


def test_fid_works_for_one_feature():
    """N(0, 1) against N(1, 4), with points of one coordinate."""
    assert value(
        "fid", sample_with_moments(0, 1), sample_with_moments(1, 4, seed=1)
    ) == pytest.approx(2, rel=1e-5)


def test_fid_of_identical_sets_is_zero():
    for seed in range(5):
        x = sample(normal(50, 6, seed))
        assert 0 <= value("fid", x, x) < 1e-6


@pytest.mark.parametrize("offset", [0, 5, 100])
def test_fid_equals_scipy_in_double_precision(offset):
    x, y = sample(offset + normal(5000, 8)), sample(offset + 0.1 + 1.1 * normal(4000, 8, 1))
    assert value("fid", x, y) == pytest.approx(scipy_fid(x, y), rel=1e-4)


def test_fid_is_invariant_and_scales_quadratically():
    x, y = normal(300, 4), normal(300, 4, 1) * [1, 2, 0.5, 1] + 0.3
    rotation, _ = np.linalg.qr(normal(4, 4, 2))
    plain = value("fid", sample(x), sample(y))
    assert value("fid", sample(x @ rotation + 2), sample(y @ rotation + 2)) == pytest.approx(
        plain, rel=1e-4
    )
    assert value("fid", sample(3 * x), sample(3 * y)) == pytest.approx(9 * plain, rel=1e-4)


# KID


def u_statistic(x, y):
    """Unbiased squared MMD under (x.y / d + 1)^3, by its double loop."""
    kernel = lambda a, b: (np.dot(a, b) / len(a) + 1) ** 3  # noqa: E731
    n, m = len(x), len(y)
    within = sum(kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j) / (
        n * (n - 1)
    )
    without = sum(kernel(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j) / (
        m * (m - 1)
    )
    return within + without - 2 * sum(kernel(a, b) for a, b in itertools.product(x, y)) / (n * m)


def test_u_statistic_has_golden_value():
    assert u_statistic(np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])) == pytest.approx(9.5)


def test_kid_equals_u_statistic_of_subsets():
    """Two subsets of 20 of 40, drawn with numpy's seed 2020 like torch-fidelity."""
    x, y = (sample(normal(40, 3, seed) * scale) for seed, scale in ((0, 1), (1, 1.5)))
    random, expected = np.random.RandomState(2020), []
    for _ in range(2):
        fake, real = (
            side.features.double().numpy()[random.choice(40, 20, replace=False)] for side in (x, y)
        )
        expected.append(u_statistic(fake, real))
    assert value("kid_subsets(subsets=2)", x, y) == pytest.approx(
        np.mean(expected), rel=1e-4, abs=1e-6
    )


def test_kid_is_unbiased():
    """N(0, 1) against N(0.5, 1) in one dimension: the sum over p of C(3, p) (mu_p - nu_p)^2."""
    mu, nu = [0, 1, 0], [0.5, 1.25, 0.5**3 + 3 * 0.5]
    population = sum(math.comb(3, p) * (mu[p - 1] - nu[p - 1]) ** 2 for p in (1, 2, 3))
    assert population == pytest.approx(3.578125)
    estimates = [
        value(
            "kid_subsets(subsets=4)",
            sample(normal(1000, 1, 2 * s)),
            sample(normal(1000, 1, 2 * s + 1) + 0.5),
        )
        for s in range(12)
    ]
    assert np.mean(estimates) == pytest.approx(
        population, abs=4 * np.std(estimates, ddof=1) / 12**0.5
    )


def test_kid_of_equal_distributions_averages_zero():
    estimates = [
        value(
            "kid_subsets(subsets=1)",
            sample(normal(200, 4, 2 * s)),
            sample(normal(200, 4, 2 * s + 1)),
        )
        for s in range(60)
    ]
    assert abs(np.mean(estimates)) < 4 * np.std(estimates, ddof=1) / 60**0.5
    assert min(estimates) < 0 < max(estimates)


def test_kid_uses_double_precision():
    """For features as large as a classifier's, kernels near 1e6 must not hide small distances."""
    x, y = normal(80, 4) + 10, normal(80, 4, 1) + 10.05
    x, y = sample(x), sample(y)
    random = np.random.RandomState(2020)
    fake, real = (s.features.double().numpy()[random.choice(80, 40, replace=False)] for s in (x, y))
    assert value("kid_subsets(subsets=1)", x, y) == pytest.approx(u_statistic(fake, real), rel=1e-5)


# Inception score


def peaked(p, classes, count):
    """Logits with posterior p for one class, alternating over classes, and equal other shares."""
    logits = np.full((count, classes), math.log((1 - p) / (classes - 1)) if p < 1 else -1e4)
    logits[np.arange(count), np.arange(count) % classes] = math.log(p)
    return logits


@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        (np.zeros((100, 10)), 1),
        (peaked(1, 10, 100), 10),
        (peaked(0.7, 10, 100), 2.808227265),
        (np.tile([2000.0] + [0.0] * 9, (100, 1)), 1),
    ],
)
def test_inception_scores_match_known_posteriors(logits, expected):
    score = value("is(splits=1)", sample(normal(100, 2), logits))
    assert score == pytest.approx(expected, rel=1e-5)


def test_inception_score_averages_splits():
    logits = normal(95, 4) * 3
    order = np.random.RandomState(2020).permutation(95)
    p = torch.as_tensor(logits, dtype=torch.float32).double().softmax(1).numpy()[order]
    scores = []
    for n in range(10):
        part = p[n * 95 // 10 : (n + 1) * 95 // 10]
        scores.append(np.exp((part * np.log(part / part.mean(0))).sum(1).mean()))
    assert value("is", sample(normal(95, 2), logits)) == pytest.approx(np.mean(scores), rel=1e-6)


# Precision and recall


GRID = np.arange(10.0)[:, None]


@pytest.mark.parametrize(
    ("fake", "real", "k", "precision", "recall"),
    [
        (GRID, GRID, 1, 1, 1),
        (GRID + 0.25, GRID, 1, 1, 1),
        (np.full((10, 1), 4.0), GRID, 1, 1, 0.1),  # balls of radius 0 contain their centre
        (np.ones((10, 3)), np.ones((10, 3)), 3, 1, 1),
        (GRID + 1000, GRID, 3, 0, 0),
        (GRID[:5], GRID, 1, 1, 0.6),  # the ball of 4 reaches 5
        (np.concatenate([GRID, GRID + 1000]), GRID, 1, 0.5, 1),
    ],
)
def test_precision_and_recall_match_known_sets(fake, real, k, precision, recall):
    assert value(f"precision(k={k})", sample(fake), sample(real)) == pytest.approx(precision)
    assert value(f"recall(k={k})", sample(fake), sample(real)) == pytest.approx(recall)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_precision_and_recall_equal_scipy(k):
    fake, real = normal(150, 5) * 0.8, normal(200, 5, 1)

    def covered(points, references):
        radii = scipy.spatial.cKDTree(references).query(references, k + 1)[0][:, -1]
        return (scipy.spatial.distance.cdist(points, references) <= radii).any(1).mean()

    assert value(f"precision(k={k})", sample(fake), sample(real)) == pytest.approx(
        covered(fake, real), abs=2 / 150
    )
    assert value(f"recall(k={k})", sample(fake), sample(real)) == pytest.approx(
        covered(real, fake), abs=2 / 200
    )


# Modes


def ring_points(*counts, shift=0.0):
    """A number of points at each centre of the ring, shifted outwards by `shift`."""
    centres = RING.centres * (1 + shift)
    return sample(torch.cat([centres[i].expand(n, 2) for i, n in enumerate(counts)]), mixture=RING)


def test_modes_counts_hit_centres():
    assert value("modes", ring_points(*[5] * 8)) == 8
    assert value("modes", ring_points(100, 1)) == 2
    assert value("modes", ring_points(*[5] * 8, shift=0.02)) == 8
    assert value("modes", ring_points(*[5] * 8, shift=0.031)) == 0
    assert value("modes(share=0.1)", ring_points(100, 1, 2)) == 2  # 0.1 * 103 / 8 is 1.29
    with pytest.raises(ValueError, match="share must lie in"):
        METRICS.make("modes(share=2)")


def test_modes_counts_predicted_classes():
    logits = np.eye(10)[[0, 0, 0, 3, 3, 9]]
    assert value("modes", sample(normal(6, 2), logits)) == 3
    assert value("modes(share=1)", sample(normal(6, 2), np.eye(3)[[0, 0, 0, 1, 1, 2]])) == 2


@pytest.mark.parametrize("name", ["modes", "reverse_kl"])
def test_foreign_classes_are_no_modes(name):
    foreign = replace(sample(normal(6, 2), np.eye(10)[:6]), classes_are_modes=False)
    with pytest.raises(MetricNotApplicable, match="this extractor predicts other classes"):
        METRICS.make(name)(foreign, foreign)


def test_reverse_kl_matches_known_shares():
    assert value("reverse_kl", ring_points(*[5] * 8)) == pytest.approx(0, abs=1e-12)
    assert value("reverse_kl", ring_points(*[5] * 4)) == pytest.approx(math.log(2))
    assert value("reverse_kl", ring_points(40)) == pytest.approx(math.log(8))
    assert value("reverse_kl", ring_points(30, 10)) == pytest.approx(
        0.75 * math.log(6) + 0.25 * math.log(2)
    )


def test_reverse_kl_uses_real_class_frequencies():
    real = sample(normal(4, 2), np.eye(2)[[0, 0, 0, 1]])
    fake = sample(normal(4, 2), np.eye(2)[[0, 0, 1, 1]])
    assert value("reverse_kl", fake, real) == pytest.approx(
        0.5 * math.log(2 / 3) + 0.5 * math.log(2)
    )
    assert value("reverse_kl", real, real) == pytest.approx(0, abs=1e-12)


def test_reverse_kl_needs_fakes_near_modes():
    with pytest.raises(MetricNotApplicable, match="no fake is near any mode"):
        METRICS.make("reverse_kl")(ring_points(5, 5, shift=1), ring_points(5, 5))


def test_high_quality_counts_points_within_three_deviations():
    far = ring_points(3, shift=0.5)
    both = sample(torch.cat([ring_points(9).features, far.features]), mixture=RING)
    assert value("high_quality", both) == pytest.approx(0.75)
    points = split("ring").train[IMAGE].images
    ideal = 1 - math.exp(-4.5)
    share = value("high_quality", sample(points, mixture=RING))
    assert share == pytest.approx(ideal, abs=4 * (ideal * (1 - ideal) / len(points)) ** 0.5)


# All metrics

FIVE_CAPTIONS = Grammar({"class": tuple("abcde")}, torch.arange(5)[:, None], torch.arange(5) == 4)
FEW_CLASSES = {"r_precision": "r_precision(others=3)"}


def sample_pairs(fake_shift=0.0, fake_scale=1.0, count=300, classes_hit=5):
    """Pairs of fakes and reals, as points and as images.

    Fakes are worse the larger their shift and the fewer classes they hit.
    """
    mixture = Mixture(torch.tensor([[0.0, 0.0], [4.0, 0.0]]), 1.0)

    def side(seed, shift, scale, classes):
        features = normal(count, 2, seed) * scale + shift
        features[::2, 0] += 4 if classes == 5 else 0
        return features, 6 * np.eye(5)[np.arange(count) % classes]

    real, fake = side(0, 0, 1, 5), side(1, fake_shift, fake_scale, classes_hit)
    points = [sample(f, logits, mixture) for f, logits in (fake, real)]
    images = [with_images(*side_data) for side_data in (fake, real)]
    held_out = with_images(*side(2, 0, 1, 5))
    points[1].held_out = images[1].held_out = lambda: held_out
    images[1].labels = held_out.labels = torch.arange(count) % 5
    add_conditional_fields(images[0], ramp_images(side(1, 0, 1, 5)[0], torch.arange(count) % 5))
    images[0].sampler = edge_sampler(1 if classes_hit == 5 else 9)
    for fake_or_real in images:
        fake_or_real.back, fake_or_real.grammar = fake_or_real, FIVE_CAPTIONS
        fake_or_real.sentences = tuple("abcde")
        fake_or_real.encode_texts = lambda texts: -torch.ones(len(texts), 2)  # away from the shift
    return points, images


def clip_pairs(fake_shift=0.0, fake_scale=1.0, count=300, classes_hit=5):
    """Clips of a moving pixel: a lawful path for each clip, or random places for shifted fakes."""
    fake, real = sample_pairs(fake_shift, fake_scale, count, classes_hit)[0]
    for seed, side in enumerate((fake, real)):
        side.law, side.labels = MOTION, torch.zeros(count, dtype=torch.int64)  # it moves right
        side.images = moving_pixels(count, seed, is_lawful=not (fake_shift and side is fake))
        spread = 5.0 if fake_shift and side is fake else 0.1
        single = sample(normal(8 * count, 3, seed) * spread, normal(8 * count, 4, seed) * spread)
        single.logits[:, 0] += 2
        side.frames = partial(FeatureSet, single.features, single.logits)
        side.shuffled = partial(replace, side, shuffled=None)
    return [(fake, real)]


def moving_pixels(count, seed, is_lawful):
    """Clips of one bright pixel: uint8 [N, 1, 8, 9, 9]."""
    random, paths = torch.Generator().manual_seed(seed), MOTION.paths().long()
    columns = paths[torch.randint(len(paths), (count,), generator=random)]
    if not is_lawful:
        columns = torch.randint(9, columns.shape, generator=random)
    return (255 * one_hot(columns, 9)).to(torch.uint8)[:, None, :, None].repeat(1, 1, 1, 9, 1)


def with_images(features, logits):
    result = sample(features, logits)
    result.images = ramp_images(features, result.logits.argmax(1))
    return result


def edge_sampler(steepness):
    """A generator of images that turn from black to white at a sign change of a latent."""

    def images(latents, labels):
        return (steepness * latents).tanh().view(-1, 1, 1, 3)

    def latents(count, random):
        return torch.randn(count, 3, generator=random)

    return LatentSampler(latents, 3, images, CPU, features=lambda images: images.flatten(1))


def add_conditional_fields(fake, truth):
    """Gives fakes conditions, true images, source images and reconstructions."""
    fake.labels, fake.truth = torch.arange(len(fake)) % 5, truth
    fake.source, fake.returned = truth, fake.images


def ramp_images(features, marks):
    """Ramps with the features as slopes and a mark for the class: uint8 [N, 1, 12, 12]."""
    x = np.linspace(-60, 60, 12)
    images = 128 + features[:, 0, None, None] * x + features[:, 1, None, None] * x[:, None]
    images[:, 0, :5] = 255 * np.eye(5)[marks]
    return torch.as_tensor(images.clip(0, 255)[:, None], dtype=torch.uint8)


def assert_is_sentence(reason) -> None:
    assert len(str(reason).split()) > 3


def measure_or_none(name, fake, real):
    """Returns the value, or None if the metric is not applicable and gives a reason."""
    try:
        reading = METRICS.make(FEW_CLASSES.get(name, name))(fake, real)
    except MetricNotApplicable as reason:
        return assert_is_sentence(reason)
    assert math.isfinite(reading.value)
    return reading.value


COPY_METRICS = ("authenticity", "copying")  # insensitive to all other defects


@every_metric
def test_worse_fakes_score_worse(name):
    sign = {"lower": 1, "higher": -1}[METRICS.make(name).direction]
    comparisons = 0
    needs_clips = not {"clips", "law", "frames"}.isdisjoint(METRICS.make(name).needs)
    pairs = clip_pairs if needs_clips else sample_pairs
    for (good, real), (bad, _) in zip(pairs(), pairs(9.0, 0.3, classes_hit=2), strict=True):
        bad = replace(real) if name in COPY_METRICS else bad
        a, b = measure_or_none(name, good, real), measure_or_none(name, bad, real)
        if a is not None and b is not None:
            assert sign * a < sign * b
            comparisons += 1
        comparisons += a is not None and b is None  # too bad to be measured
    assert comparisons


@every_metric
def test_values_lie_in_transform_domain(name):
    transform = METRICS.make(name).transform
    for fake, real in (*sample_pairs(), *sample_pairs(9.0), *sample_pairs(0.0, 0.01)):
        reading = measure_or_none(name, fake, real)
        if reading is not None and transform == "logit":
            assert 0 <= reading <= 1
        if reading is not None and transform == "log":
            assert reading >= 0
    assert transform in ("log", "logit", "none")


@every_metric
def test_measurement_repeats_and_keeps_its_samples(name):
    for fake, real in sample_pairs():
        before = fake.features.clone(), real.features.clone()
        assert measure_or_none(name, fake, real) == measure_or_none(name, fake, real)
        assert torch.equal(fake.features, before[0])
        assert torch.equal(real.features, before[1])


NON_FINITE = [math.nan, math.inf, -math.inf]


@every_metric
@pytest.mark.parametrize("number", NON_FINITE)
def test_non_finite_features_are_not_measurable(name, number):
    for fake, real in sample_pairs():
        fake.features[3, 1] = number
        with pytest.raises(MetricNotApplicable, match=r"not finite|needs"):
            METRICS.make(name)(fake, real)


@pytest.mark.parametrize("name", ["is", "modes", "reverse_kl"])
@pytest.mark.parametrize("number", NON_FINITE)
def test_non_finite_logits_are_not_measurable(name, number):
    _, (fake, real) = sample_pairs()
    fake.logits[3, 1] = number
    with pytest.raises(MetricNotApplicable):
        METRICS.make(name)(fake, real)


@every_metric
@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_examples_are_refused(name, count):
    for fake, real in sample_pairs():
        few = FeatureSet(fake.features[:count], fake.logits[:count], mixture=fake.mixture)
        with pytest.raises(MetricNotApplicable):
            METRICS.make(name)(few, real)


@every_metric
def test_few_examples_never_give_nan(name):
    for count in range(2, 12):
        for fake, real in sample_pairs(count=count):
            measure_or_none(name, fake, real)


@every_metric
def test_copies_of_one_image_never_give_nan(name):
    for fake, real in sample_pairs():
        collapsed = FeatureSet(
            fake.features[:1].repeat(300, 1),
            fake.logits[:1].repeat(300, 1),
            mixture=fake.mixture,
        )
        measure_or_none(name, collapsed, real)


@pytest.mark.parametrize("name", ["is", "modes", "reverse_kl"])
def test_class_metrics_need_class_logits(name):
    fake = sample(normal(20, 3))
    with pytest.raises(MetricNotApplicable, match="needs class logits"):
        METRICS.make(name)(fake, fake)


@pytest.mark.parametrize(
    ("metric", "count", "sentence"),
    [
        ("precision(k=20)", 20, "neighbour 20 needs more than 20"),
        ("recall(k=50)", 20, "neighbour 50 needs"),
        ("kid_subsets", 3, "at least 4 examples"),
        ("fid_unbiased", 39, "at least 40 fakes"),
        ("fid_infinity", 299, "at least 300 fakes"),
        ("is", 9, "10 splits need"),
        ("high_quality", 9, "a known mixture"),
    ],
)
def test_too_few_examples_name_the_minimum(metric, count, sentence):
    fake = sample(normal(count, 3), np.zeros((count, 4)))
    with pytest.raises(MetricNotApplicable, match=sentence):
        METRICS.make(metric)(fake, fake)


# Through the evaluator


@pytest.mark.parametrize("data", ["digits", "ring"])
def test_noise_scores_worse_than_the_floor(data):
    evaluator = Evaluator(data, CPU)
    metrics = ("fid", "kid_subsets(subsets=5)", "modes", "reverse_kl")
    floor = evaluator.measure_floor(metrics)
    shape = split(data).held_out[IMAGE].images.shape
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    bad = evaluator.measure(GeneratedSamples(noise), metrics)
    assert bad["fid"].value > 5 * floor["fid"].value
    assert bad["kid_subsets(subsets=5)"].value > 5 * floor["kid_subsets(subsets=5)"].value
    assert floor["modes"].value == {"digits": 10, "ring": 8}[data]
    assert floor["reverse_kl"].value < 0.01 < bad["reverse_kl"].value


def test_inapplicable_metric_gives_its_reason():
    evaluator = Evaluator("ring", CPU)
    readings = evaluator.measure(GeneratedSamples(torch.randn(50, 2)), ("is", "modes"))
    assert readings["is"] == "needs class logits, but this extractor returns none"
    assert readings["modes"].value <= 8
    broken = evaluator.measure(
        GeneratedSamples(torch.full((50, 2), math.nan)), ("fid", "modes", "high_quality")
    )
    assert all("not finite" in reading for reading in broken.values())


def test_protocol_id_depends_on_every_field():
    plain = Evaluator("digits", CPU).protocol
    assert (plain.real, plain.fake) == (1197, 600)
    for field in fields(plain):
        current = getattr(plain, field.name)
        other = replace(
            plain, **{field.name: current + 1 if isinstance(current, int) else f"{current}x"}
        )
        assert other.id != plain.id
    assert Evaluator("digits", CPU).protocol.id == plain.id
