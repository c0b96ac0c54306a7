"""Metrics against golden values, independent libraries, and hostile inputs."""

import itertools
import math
from dataclasses import fields, replace

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial
import torch
from helpers import CPU, split

from ganbench.data.base import IMAGE, Mixture
from ganbench.evaluation.evaluator import Evaluator
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import MetricNotApplicable
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.gan.latent_sampler import LatentSampler
from ganbench.training.sampling import GeneratedSamples

RING = split("ring").mixture
every_metric = pytest.mark.parametrize("name", METRICS.entries)


def normal(count, width, seed=0):
    return np.random.default_rng(seed).standard_normal((count, width))


def sample(features, logits=None, mixture=None):
    features = torch.as_tensor(np.asarray(features), dtype=torch.float32)
    logits = None if logits is None else torch.as_tensor(np.asarray(logits), dtype=torch.float32)
    return FeatureSet(features.reshape(len(features), -1), logits, mixture=mixture)


def value(metric, fake, real=None):
    found = METRICS.make(metric)(fake, real or fake).value
    assert type(found) is float
    assert math.isfinite(found)
    return found


def exactly(mean, covariance, count=400, seed=0):
    """Points whose sample mean and covariance are exactly these."""
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
def test_fid_of_known_gaussians(mean, covariance, other, expected):
    ours, theirs = exactly([0] * len(mean), covariance, seed=1), exactly(mean, other, seed=2)
    assert value("fid", ours, theirs) == pytest.approx(expected, rel=1e-5)
    assert value("fid", theirs, ours) == pytest.approx(expected, rel=1e-5)


def test_fid_of_one_feature():
    """N(0, 1) against N(1, 4): points of one coordinate are points all the same."""
    assert value("fid", exactly(0, 1), exactly(1, 4, seed=1)) == pytest.approx(2, rel=1e-5)


def test_fid_of_a_set_against_itself_is_zero_and_never_below():
    for seed in range(5):
        x = sample(normal(50, 6, seed))
        assert 0 <= value("fid", x, x) < 1e-6


@pytest.mark.parametrize("offset", [0, 5, 100])
def test_fid_agrees_with_scipy_in_double_precision(offset):
    x, y = sample(offset + normal(5000, 8)), sample(offset + 0.1 + 1.1 * normal(4000, 8, 1))
    assert value("fid", x, y) == pytest.approx(scipy_fid(x, y), rel=1e-4)


def test_fid_does_not_change_when_both_are_moved_and_grows_with_the_square_of_scale():
    x, y = normal(300, 4), normal(300, 4, 1) * [1, 2, 0.5, 1] + 0.3
    turn, _ = np.linalg.qr(normal(4, 4, 2))
    plain = value("fid", sample(x), sample(y))
    assert value("fid", sample(x @ turn + 2), sample(y @ turn + 2)) == pytest.approx(
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


def test_the_double_loop_has_its_golden_value():
    assert u_statistic(np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])) == pytest.approx(9.5)


def test_kid_is_the_u_statistic_of_its_subsets():
    """Two subsets of 20 of 40, drawn as torch-fidelity draws them: from numpy's seed 2020."""
    x, y = (sample(normal(40, 3, seed) * scale) for seed, scale in ((0, 1), (1, 1.5)))
    random, expected = np.random.RandomState(2020), []
    for _ in range(2):
        ours, theirs = (
            side.features.double().numpy()[random.choice(40, 20, replace=False)] for side in (x, y)
        )
        expected.append(u_statistic(ours, theirs))
    assert value("kid_subsets(subsets=2)", x, y) == pytest.approx(
        np.mean(expected), rel=1e-4, abs=1e-6
    )


def test_kid_estimates_the_population_value_without_bias():
    """N(0, 1) against N(0.5, 1) in one dimension: the sum over p of C(3, p) (mu_p - nu_p)^2."""
    mu, nu = [0, 1, 0], [0.5, 1.25, 0.5**3 + 3 * 0.5]
    population = sum(math.comb(3, p) * (mu[p - 1] - nu[p - 1]) ** 2 for p in (1, 2, 3))
    assert population == pytest.approx(3.578125)
    found = [
        value(
            "kid_subsets(subsets=4)",
            sample(normal(1000, 1, 2 * s)),
            sample(normal(1000, 1, 2 * s + 1) + 0.5),
        )
        for s in range(12)
    ]
    assert np.mean(found) == pytest.approx(population, abs=4 * np.std(found, ddof=1) / 12**0.5)


def test_kid_of_equals_is_zero_within_its_error_and_may_be_below():
    found = [
        value(
            "kid_subsets(subsets=1)",
            sample(normal(200, 4, 2 * s)),
            sample(normal(200, 4, 2 * s + 1)),
        )
        for s in range(60)
    ]
    assert abs(np.mean(found)) < 4 * np.std(found, ddof=1) / 60**0.5
    assert min(found) < 0 < max(found)


def test_kid_is_computed_in_double_precision():
    """Features as large as a classifier's: kernels near 1e6 must not swallow a small distance."""
    x, y = normal(80, 4) + 10, normal(80, 4, 1) + 10.05
    x, y = sample(x), sample(y)
    random = np.random.RandomState(2020)
    ours, theirs = (
        s.features.double().numpy()[random.choice(80, 40, replace=False)] for s in (x, y)
    )
    assert value("kid_subsets(subsets=1)", x, y) == pytest.approx(
        u_statistic(ours, theirs), rel=1e-5
    )


# Inception score


def peaked(p, classes, count):
    """Logits whose posterior is p for a class each in turn, and equal shares of the rest."""
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
def test_inception_scores_of_known_posteriors(logits, expected):
    found = value("is(splits=1)", sample(normal(100, 2), logits))
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_inception_score_of_splits_is_their_mean():
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
        (np.full((10, 1), 4.0), GRID, 1, 1, 0.1),  # balls of radius 0 hold their centre
        (np.ones((10, 3)), np.ones((10, 3)), 3, 1, 1),
        (GRID + 1000, GRID, 3, 0, 0),
        (GRID[:5], GRID, 1, 1, 0.6),  # the ball of 4 reaches 5
        (np.concatenate([GRID, GRID + 1000]), GRID, 1, 0.5, 1),
    ],
)
def test_precision_and_recall_of_known_sets(fake, real, k, precision, recall):
    assert value(f"precision(k={k})", sample(fake), sample(real)) == pytest.approx(precision)
    assert value(f"recall(k={k})", sample(fake), sample(real)) == pytest.approx(recall)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_precision_and_recall_agree_with_scipys_neighbours(k):
    fake, real = normal(150, 5) * 0.8, normal(200, 5, 1)

    def covered(points, by):
        radii = scipy.spatial.cKDTree(by).query(by, k + 1)[0][:, -1]
        return (scipy.spatial.distance.cdist(points, by) <= radii).any(1).mean()

    assert value(f"precision(k={k})", sample(fake), sample(real)) == pytest.approx(
        covered(fake, real), abs=2 / 150
    )
    assert value(f"recall(k={k})", sample(fake), sample(real)) == pytest.approx(
        covered(real, fake), abs=2 / 200
    )


# Modes


def at(*counts, off=0.0):
    """So many points at each centre of the ring, each moved outwards."""
    centres = RING.centres * (1 + off)
    return sample(torch.cat([centres[i].expand(n, 2) for i, n in enumerate(counts)]), mixture=RING)


def test_modes_counts_the_centres_that_are_hit():
    assert value("modes", at(*[5] * 8)) == 8
    assert value("modes", at(100, 1)) == 2
    assert value("modes", at(*[5] * 8, off=0.02)) == 8
    assert value("modes", at(*[5] * 8, off=0.031)) == 0
    assert value("modes(share=0.1)", at(100, 1, 2)) == 2  # 0.1 * 103 / 8 is 1.29
    with pytest.raises(ValueError, match="share must lie in"):
        METRICS.make("modes(share=2)")


def test_modes_of_classes_are_the_predicted_ones():
    logits = np.eye(10)[[0, 0, 0, 3, 3, 9]]
    assert value("modes", sample(normal(6, 2), logits)) == 3
    assert value("modes(share=1)", sample(normal(6, 2), np.eye(3)[[0, 0, 0, 1, 1, 2]])) == 2


@pytest.mark.parametrize("name", ["modes", "reverse_kl"])
def test_classes_that_are_not_the_datas_are_no_modes(name):
    foreign = replace(sample(normal(6, 2), np.eye(10)[:6]), classes_are_modes=False)
    with pytest.raises(MetricNotApplicable, match="this extractor predicts other classes"):
        METRICS.make(name)(foreign, foreign)


def test_reverse_kl_of_known_shares():
    assert value("reverse_kl", at(*[5] * 8)) == pytest.approx(0, abs=1e-12)
    assert value("reverse_kl", at(*[5] * 4)) == pytest.approx(math.log(2))
    assert value("reverse_kl", at(40)) == pytest.approx(math.log(8))
    assert value("reverse_kl", at(30, 10)) == pytest.approx(0.75 * math.log(6) + 0.25 * math.log(2))


def test_reverse_kl_of_classes_is_against_the_reals_own_frequencies():
    real = sample(normal(4, 2), np.eye(2)[[0, 0, 0, 1]])
    fake = sample(normal(4, 2), np.eye(2)[[0, 0, 1, 1]])
    assert value("reverse_kl", fake, real) == pytest.approx(
        0.5 * math.log(2 / 3) + 0.5 * math.log(2)
    )
    assert value("reverse_kl", real, real) == pytest.approx(0, abs=1e-12)


def test_no_point_near_any_mode_has_no_distribution_over_them():
    with pytest.raises(MetricNotApplicable, match="no fake is near any mode"):
        METRICS.make("reverse_kl")(at(5, 5, off=1), at(5, 5))


def test_high_quality_is_the_share_within_three_deviations():
    far = at(3, off=0.5)
    both = sample(torch.cat([at(9).features, far.features]), mixture=RING)
    assert value("high_quality", both) == pytest.approx(0.75)
    points = split("ring").train[IMAGE].images
    ideal = 1 - math.exp(-4.5)
    found = value("high_quality", sample(points, mixture=RING))
    assert found == pytest.approx(ideal, abs=4 * (ideal * (1 - ideal) / len(points)) ** 0.5)


# All of them


def pair(fake_shift=0.0, fake_scale=1.0, count=300, classes_hit=5):
    """Reals, and fakes that are worse the further shifted, and the fewer classes they hit."""
    mixture = Mixture(torch.tensor([[0.0, 0.0], [4.0, 0.0]]), 1.0)

    def side(seed, shift, scale, classes):
        features = normal(count, 2, seed) * scale + shift
        features[::2, 0] += 4 if classes == 5 else 0
        return features, 6 * np.eye(5)[np.arange(count) % classes]

    real, fake = side(0, 0, 1, 5), side(1, fake_shift, fake_scale, classes_hit)
    points = [sample(f, logits, mixture) for f, logits in (fake, real)]
    images = [with_images(*of) for of in (fake, real)]
    held_out = with_images(*side(2, 0, 1, 5))
    points[1].held_out = images[1].held_out = lambda: held_out
    images[1].labels = held_out.labels = torch.arange(count) % 5
    answered(images[0], ramps(side(1, 0, 1, 5)[0], torch.arange(count) % 5))
    images[0].sampler = edges(1 if classes_hit == 5 else 9)
    for fake_or_real in images:
        fake_or_real.back = fake_or_real
    return points, images


def with_images(features, logits):
    found = sample(features, logits)
    found.images = ramps(features, found.logits.argmax(1))
    return found


def edges(steepness):
    """A generator whose images turn from black to white where a latent changes its sign."""

    def images(latents, labels):
        return (steepness * latents).tanh().view(-1, 1, 1, 3)

    def latents(count, random):
        return torch.randn(count, 3, generator=random)

    return LatentSampler(latents, 3, images, CPU, features=lambda images: images.flatten(1))


def answered(fake, truth):
    """Fakes that were asked to be something, and are brought back as they are."""
    fake.labels, fake.truth = torch.arange(len(fake)) % 5, truth
    fake.source, fake.returned = truth, fake.images


def ramps(features, marks):
    """Images of slopes that are the features, each with a mark for its class: uint8 [N, 1, 12, 12]."""
    x = np.linspace(-60, 60, 12)
    images = 128 + features[:, 0, None, None] * x + features[:, 1, None, None] * x[:, None]
    images[:, 0, :5] = 255 * np.eye(5)[marks]
    return torch.as_tensor(images.clip(0, 255)[:, None], dtype=torch.uint8)


def told_in_a_sentence(reason) -> None:
    assert len(str(reason).split()) > 3


def measured(name, fake, real):
    """A value, or None where the metric says in a sentence that there is none."""
    try:
        found = METRICS.make(name)(fake, real)
    except MetricNotApplicable as reason:
        return told_in_a_sentence(reason)
    assert math.isfinite(found.value)
    return found.value


SEE_COPIES = ("authenticity", "copying")  # and nothing else that is bad


@every_metric
def test_worse_fakes_score_worse_in_the_declared_direction(name):
    sign = {"lower": 1, "higher": -1}[METRICS.make(name).direction]
    seen = 0
    for (good, real), (bad, _) in zip(pair(), pair(9.0, 0.3, classes_hit=2), strict=True):
        bad = replace(real) if name in SEE_COPIES else bad
        a, b = measured(name, good, real), measured(name, bad, real)
        if a is not None and b is not None:
            assert sign * a < sign * b
            seen += 1
        seen += a is not None and b is None  # so bad that there is nothing to measure
    assert seen


@every_metric
def test_a_value_lies_where_its_transform_is_defined(name):
    transform = METRICS.make(name).transform
    for fake, real in (*pair(), *pair(9.0), *pair(0.0, 0.01)):
        found = measured(name, fake, real)
        if found is not None and transform == "logit":
            assert 0 <= found <= 1
        if found is not None and transform == "log":
            assert found >= 0
    assert transform in ("log", "logit", "none")


@every_metric
def test_a_measurement_repeats_itself_and_leaves_its_samples_alone(name):
    for fake, real in pair():
        kept = fake.features.clone(), real.features.clone()
        assert measured(name, fake, real) == measured(name, fake, real)
        assert torch.equal(fake.features, kept[0])
        assert torch.equal(real.features, kept[1])


POISON = [math.nan, math.inf, -math.inf]


@every_metric
@pytest.mark.parametrize("poison", POISON)
def test_features_that_are_no_numbers_are_unmeasurable(name, poison):
    for fake, real in pair():
        fake.features[3, 1] = poison
        with pytest.raises(MetricNotApplicable, match=r"not finite|needs"):
            METRICS.make(name)(fake, real)


@pytest.mark.parametrize("name", ["is", "modes", "reverse_kl"])
@pytest.mark.parametrize("poison", POISON)
def test_logits_that_are_no_numbers_are_unmeasurable(name, poison):
    _, (fake, real) = pair()
    fake.logits[3, 1] = poison
    with pytest.raises(MetricNotApplicable):
        METRICS.make(name)(fake, real)


@every_metric
@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_examples_are_unmeasurable(name, count):
    for fake, real in pair():
        few = FeatureSet(fake.features[:count], fake.logits[:count], mixture=fake.mixture)
        with pytest.raises(MetricNotApplicable):
            METRICS.make(name)(few, real)


@every_metric
def test_few_examples_are_measured_or_refused_but_never_nan(name):
    for count in range(2, 12):
        for fake, real in pair(count=count):
            measured(name, fake, real)


@every_metric
def test_copies_of_one_image_are_measured_or_refused_but_never_nan(name):
    for fake, real in pair():
        collapsed = FeatureSet(
            fake.features[:1].repeat(300, 1),
            fake.logits[:1].repeat(300, 1),
            mixture=fake.mixture,
        )
        measured(name, collapsed, real)


@pytest.mark.parametrize("name", ["is", "modes", "reverse_kl"])
def test_without_logits_and_mixture_there_are_no_classes(name):
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
def test_too_few_examples_are_told_in_a_sentence(metric, count, sentence):
    fake = sample(normal(count, 3), np.zeros((count, 4)))
    with pytest.raises(MetricNotApplicable, match=sentence):
        METRICS.make(metric)(fake, fake)


# By the yardstick


@pytest.mark.parametrize("data", ["digits", "ring"])
def test_the_floor_is_what_held_out_data_score_and_noise_scores_worse(data):
    ruler = Evaluator(data, CPU)
    metrics = ("fid", "kid_subsets(subsets=5)", "modes", "reverse_kl")
    floor = ruler.measure_floor(metrics)
    shape = split(data).held_out[IMAGE].images.shape
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    bad = ruler.measure(GeneratedSamples(noise), metrics)
    assert bad["fid"].value > 5 * floor["fid"].value
    assert bad["kid_subsets(subsets=5)"].value > 5 * floor["kid_subsets(subsets=5)"].value
    assert floor["modes"].value == {"digits": 10, "ring": 8}[data]
    assert floor["reverse_kl"].value < 0.01 < bad["reverse_kl"].value


def test_a_metric_that_has_no_meaning_is_read_as_its_reason():
    ruler = Evaluator("ring", CPU)
    found = ruler.measure(GeneratedSamples(torch.randn(50, 2)), ("is", "modes"))
    assert found["is"] == "needs class logits, and this extractor gives none"
    assert found["modes"].value <= 8
    broken = ruler.measure(
        GeneratedSamples(torch.full((50, 2), math.nan)), ("fid", "modes", "high_quality")
    )
    assert all("not finite" in reading for reading in broken.values())


def test_a_protocol_is_named_by_all_that_a_number_means():
    plain = Evaluator("digits", CPU).protocol
    assert (plain.real, plain.fake) == (1197, 600)
    for field in fields(plain):
        now = getattr(plain, field.name)
        other = replace(plain, **{field.name: now + 1 if isinstance(now, int) else f"{now}x"})
        assert other.id != plain.id
    assert Evaluator("digits", CPU).protocol.id == plain.id
