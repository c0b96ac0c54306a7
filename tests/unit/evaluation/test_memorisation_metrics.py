"""Authenticity, copying and FID within classes, against dense recomputations and what is known of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import CPU
from scipy.spatial.distance import cdist
from scipy.stats import mannwhitneyu

from ganbench.evaluation.metrics import METRICS, frechet
from ganbench.evaluation.metrics import pairwise as gram
from ganbench.evaluation.metrics.base import MetricNotApplicable, compute_pairwise_statistics
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.evaluation.reference_cache import DiskCache

LINE = np.arange(10.0)[:, None]


def normal(count, width, seed=0):
    return np.random.default_rng(seed).standard_normal((count, width))


def sample(features, logits=None):
    features = torch.as_tensor(np.asarray(features, dtype=float), dtype=torch.float32)
    logits = None if logits is None else torch.as_tensor(np.asarray(logits), dtype=torch.float32)
    return FeatureSet(features.reshape(len(features), -1), logits)


def measured(metric, fake, real):
    return METRICS.make(metric)(fake, real)


def with_held_out(real, held_out):
    real.held_out = lambda: held_out
    return real


def points(sample):
    return sample.features.double().numpy()


def copies(real):
    """A sampler that knows nothing but the reals."""
    return FeatureSet(real.features.clone())


# Authenticity


@pytest.mark.parametrize(
    ("fake", "real", "expected"),
    [
        (LINE + 0.25, LINE, 0),
        (LINE + 1000, LINE, 1),
        ([4, 8], [0, 1, 10], 0.5),  # 4 is further from 1 than 0 is; 8 is nearer to 10 than 1 is
        ([2, 2], [0, 1, 10], 0),  # as far from 1 as 0 is: not further
    ],
)
def test_authenticity_of_known_sets(fake, real, expected):
    found = measured("authenticity", sample(fake), sample(real))
    assert found.value == expected
    assert found.standard_error == (expected * (1 - expected) / len(fake)) ** 0.5


@pytest.mark.parametrize("width", [1, 3, 600])
def test_authenticity_is_that_of_all_distances(width):
    fake, real = sample(normal(150, width) * 0.9), sample(normal(200, width, 1))
    across, within = cdist(points(fake), points(real)), cdist(points(real), points(real))
    np.fill_diagonal(within, np.inf)
    expected = (across.min(1) > within.min(1)[across.argmin(1)]).mean()
    found = measured("authenticity", fake, real)
    assert found.value == expected
    assert found.standard_error == pytest.approx((expected * (1 - expected) / 150) ** 0.5)


@pytest.mark.parametrize("offset", [0, 100])
@pytest.mark.parametrize("width", [2, 600])
def test_exact_copies_are_not_authentic_even_of_reals_that_are_there_twice(width, offset):
    x = normal(100, width) + offset
    real = sample(np.concatenate([x, x[:30]]))
    with_held_out(real, sample(normal(9, width, 1) + offset))
    assert measured("authenticity", copies(real), real).value == 0
    assert measured("copying", copies(real), real).value == 1


@pytest.mark.parametrize(("width", "golden"), [(2, 0.37), (16, 0.70)])
def test_a_perfect_samplers_authenticity_is_its_floor_and_no_constant(width, golden):
    real, fake = sample(normal(3000, width)), sample(normal(3000, width, 1))
    found, floor = (
        measured("authenticity", fake, real),
        METRICS.make("authenticity").expected_floor(real, 9),
    )
    assert floor == pytest.approx(golden, abs=0.02)
    assert abs(found.value - floor) < 4 * 2**0.5 * found.standard_error


def test_the_floor_of_authenticity_leaves_out_each_real_in_turn():
    real = sample(normal(60, 3))
    within = cdist(points(real), points(real))
    np.fill_diagonal(within, np.inf)
    authentic = []
    for i, row in enumerate(within):
        others = np.delete(within[row.argmin()], i)  # of its nearest, without itself
        authentic.append(row.min() > others.min())
    assert METRICS.make("authenticity").expected_floor(real, 5) == np.mean(authentic)


def test_a_sampler_that_copies_sometimes_is_less_authentic():
    real = sample(normal(1000, 16))
    found = []
    for share in (0, 0.25, 0.5, 1):
        x = normal(1000, 16, 1)
        x[: int(share * 1000)] = points(real)[: int(share * 1000)] + 0.01
        found.append(measured("authenticity", sample(x), real).value)
    assert found == pytest.approx([0.7, 0.525, 0.35, 0], abs=0.05)


# Copying


def test_copying_of_a_known_set():
    """Fakes at 0, 2 and 5 from their real, held-out examples at 1, 2 and 3: 3 + 1.5 + 0 of 9 pairs."""
    real = with_held_out(sample([0, 100]), sample([1, 98, 103]))
    found = measured("copying", sample([100, 2, -5]), real)
    assert found.value == 0.5
    assert found.standard_error == pytest.approx(np.std([1, 0.5, 0], ddof=1) / 3**0.5)


@pytest.mark.parametrize("width", [1, 4, 600])
@pytest.mark.parametrize("steps", [None, 4])
def test_copying_is_mann_and_whitneys_share(width, steps):
    """Rounded to a few steps there are ties."""
    x = [normal(n, width, n) * s for n, s in ((90, 0.9), (120, 1), (70, 1))]
    fake, real, held_out = (sample(a if steps is None else np.round(a * steps) / steps) for a in x)
    ours, theirs = (cdist(points(s), points(real)).min(1) for s in (fake, held_out))
    ours, theirs = (d.round(12) for d in (ours, theirs))
    found = measured("copying", fake, with_held_out(real, held_out))
    assert found.value == pytest.approx(mannwhitneyu(theirs, ours).statistic / (90 * 70))
    placed = (theirs > ours[:, None]).mean(1) + (theirs == ours[:, None]).mean(1) / 2
    assert found.standard_error == pytest.approx(placed.std(ddof=1) / 90**0.5)


def test_copies_noise_and_held_out_data_are_told_apart():
    real = with_held_out(sample(normal(400, 8)), sample(normal(300, 8, 1)))
    assert measured("copying", copies(real), real).value == 1
    near = sample(points(real) + 0.1 * normal(400, 8, 2))
    assert measured("copying", near, real).value > 0.95
    assert measured("copying", real.held_out(), real).value == 0.5
    assert measured("copying", sample(normal(400, 8, 3) + 5), real).value < 0.01
    fresh = measured("copying", sample(normal(400, 8, 4)), real)
    assert (
        abs(fresh.value - METRICS.make("copying").expected_floor(real, 400))
        < 4 * fresh.standard_error
    )


def test_without_held_out_data_there_is_nothing_to_compare_with():
    real = sample(normal(20, 2))
    with pytest.raises(MetricNotApplicable, match="held-out real examples, and none are given"):
        measured("copying", copies(real), real)
    with pytest.raises(MetricNotApplicable, match="not finite"):
        measured("copying", copies(real), with_held_out(real, sample(normal(20, 2) * np.nan)))


def test_held_out_data_are_looked_at_once_a_reference(monkeypatch):
    real = with_held_out(sample(normal(50, 2)), sample(normal(30, 2, 1)))
    first = measured("copying", sample(normal(40, 2, 2)), real)
    swept = []
    monkeypatch.setattr(
        gram,
        "compute_pairwise",
        lambda x, y, _, sweep=gram.compute_pairwise: swept.append(x) or sweep(x, y, _),
    )
    fake = sample(normal(40, 2, 2))
    assert measured("copying", fake, real) == first
    assert swept == [fake]


def test_one_sweep_serves_both(monkeypatch):
    real = with_held_out(sample(normal(50, 2)), sample(normal(30, 2, 1)))
    fake = sample(normal(40, 2, 2))
    metrics = [METRICS.make(name) for name in ("authenticity", "copying")]
    alone = [metric(sample(points(fake)), real) for metric in metrics]
    compute_pairwise_statistics(metrics, fake, real)
    monkeypatch.setattr(gram.CentredPairs, "iter_tiles", None)
    assert [metric(fake, real) for metric in metrics] == alone


# FID within classes


def labelled(features, labels, classes):
    return sample(features, 5 * np.eye(classes)[labels])


def exactly(mean, count, seed):
    """Points of exactly this mean, and the unit covariance."""
    x = normal(count, len(mean), seed)
    x = x - x.mean(0)
    return x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T + mean


def test_class_fid_is_the_mean_of_known_distances():
    """One class is moved by 0.5 in each of 4 features, which is a distance of 1; the other is not."""
    labels = np.repeat([0, 1], [300, 100])
    real = labelled(np.concatenate([exactly([0] * 4, n, n) for n in (300, 100)]), labels, 2)
    moved = [exactly([0.5] * 4, 300, 1), exactly([0] * 4, 100, 2)]
    found = measured("class_fid", labelled(np.concatenate(moved), labels, 2), real)
    assert found.value == pytest.approx(0.5, rel=1e-4)


def random_classes(count, seed, scale=1.0, width=4, classes=3):
    labels = np.random.default_rng(seed).integers(classes, size=count)
    return labelled(normal(count, width, seed) * scale + labels[:, None], labels, classes)


def test_class_fid_and_its_error_are_those_of_each_class_by_itself():
    fake, real = random_classes(400, 0, 1.2), random_classes(500, 1)
    parts = []
    for label in range(3):
        sides = (FeatureSet(s.features[s.logits.argmax(1) == label]) for s in (fake, real))
        parts.append(measured("fid", *sides))
    found = measured("class_fid", fake, real)
    assert found.value == pytest.approx(np.mean([part.value for part in parts]), rel=1e-9)
    errors = [part.standard_error for part in parts]
    assert found.standard_error == pytest.approx(np.linalg.norm(errors) / 3, rel=1e-9)


def test_classes_that_are_swapped_are_seen_in_no_other_way():
    real = random_classes(2000, 0, classes=2)
    fake = random_classes(2000, 1, classes=2)
    swapped = replace(fake, logits=fake.logits.flip(1))
    assert measured("fid", swapped, real).value == measured("fid", fake, real).value < 0.1
    assert measured("class_fid", fake, real).value < 0.1
    assert measured("class_fid", swapped, real).value > 3


@pytest.mark.parametrize(
    ("hit", "sentence"),
    [
        (7, "1 of 8 classes have fewer than 2 fakes or reals: 7$"),
        (5, "3 of 8 classes have fewer than 2 fakes or reals: 5, 6, 7$"),
        (2, r"6 of 8 classes have fewer than 2 fakes or reals: 2, 3, 4, \.\.\.$"),
    ],
)
def test_classes_of_too_few_are_named(hit, sentence):
    whole = labelled(normal(80, 3), np.arange(80) % 8, 8)
    part = labelled(normal(80, 3), np.arange(80) % hit, 8)
    for fake, real in ((part, whole), (whole, part)):
        with pytest.raises(MetricNotApplicable, match=sentence):
            measured("class_fid", fake, real)
    foreign = replace(whole, classes_are_modes=False)
    with pytest.raises(MetricNotApplicable, match="predicts other classes"):
        measured("class_fid", foreign, foreign)


def test_classes_of_few_have_a_value_and_no_error():
    found = measured("class_fid", random_classes(60, 0, width=40), random_classes(500, 1, width=40))
    assert found.value > 0
    assert found.standard_error is None


def test_the_floor_of_class_fid_is_that_of_its_classes():
    real, metric = random_classes(4000, 0), METRICS.make("class_fid")
    parts = [FeatureSet(real.features[real.logits.argmax(1) == label]) for label in range(3)]
    floors = [frechet.expected_distance(part, 300 * len(part) // 4000) for part in parts]
    assert metric.expected_floor(real, 300) == pytest.approx(np.mean(floors), rel=1e-9)
    assert metric.expected_floor(real, 30) is None  # 10 fakes a class are too few for the theory


def test_reals_are_factored_once_a_reference_also_for_later_processes(tmp_path, monkeypatch):
    real, fake = random_classes(300, 0), random_classes(200, 1)
    real.cache = DiskCache(tmp_path, CPU)
    first = measured("class_fid", fake, real)
    seen, made = [], frechet.compute_moments
    monkeypatch.setattr(frechet, "compute_moments", lambda x: seen.append(len(x)) or made(x))
    later = FeatureSet(real.features, real.logits)
    later.cache = DiskCache(tmp_path, CPU)
    for reference in (real, later):
        seen.clear()
        assert measured("class_fid", replace(fake), reference) == first
        assert sum(seen) == 200  # the fakes, and nobody else
    assert {path.stem for path in tmp_path.iterdir()} == {
        f"class {label} {name}" for label in range(3) for name in ("moments", "factor")
    }
