"""Authenticity, copying and per-class FID against dense recomputations and known values."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import CPU
from scipy.spatial.distance import cdist
from scipy.stats import mannwhitneyu

from ganbench.evaluation.metrics import METRICS, frechet, pairwise
from ganbench.evaluation.metrics.base import MetricNotApplicable, compute_pairwise_statistics
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.evaluation.reference_cache import DiskCache

LINE_POINTS = np.arange(10.0)[:, None]


def standard_normal(count, width, seed=0):
    return np.random.default_rng(seed).standard_normal((count, width))


def feature_set(features, logits=None):
    features = torch.as_tensor(np.asarray(features, dtype=float), dtype=torch.float32)
    logits = None if logits is None else torch.as_tensor(np.asarray(logits), dtype=torch.float32)
    return FeatureSet(features.reshape(len(features), -1), logits)


def measure(metric, fake, real):
    return METRICS.make(metric)(fake, real)


def with_held_out(real, held_out):
    real.held_out = lambda: held_out
    return real


def to_array(samples):
    return samples.features.double().numpy()


def copy_samples(real):
    """Returns exact copies of the reals."""
    return FeatureSet(real.features.clone())


# Authenticity


@pytest.mark.parametrize(
    ("fake", "real", "expected"),
    [
        (LINE_POINTS + 0.25, LINE_POINTS, 0),
        (LINE_POINTS + 1000, LINE_POINTS, 1),
        ([4, 8], [0, 1, 10], 0.5),  # 4 is further from 1 than 0 is; 8 is nearer to 10 than 1 is
        ([2, 2], [0, 1, 10], 0),  # as far from 1 as 0 is, so not further
    ],
)
def test_authenticity_equals_known_values(fake, real, expected):
    measurement = measure("authenticity", feature_set(fake), feature_set(real))
    assert measurement.value == expected
    assert measurement.standard_error == (expected * (1 - expected) / len(fake)) ** 0.5


@pytest.mark.parametrize("width", [1, 3, 600])
def test_authenticity_equals_dense_distances(width):
    fake, real = (
        feature_set(standard_normal(150, width) * 0.9),
        feature_set(standard_normal(200, width, 1)),
    )
    across, within = cdist(to_array(fake), to_array(real)), cdist(to_array(real), to_array(real))
    np.fill_diagonal(within, np.inf)
    expected = (across.min(1) > within.min(1)[across.argmin(1)]).mean()
    measurement = measure("authenticity", fake, real)
    assert measurement.value == expected
    assert measurement.standard_error == pytest.approx((expected * (1 - expected) / 150) ** 0.5)


@pytest.mark.parametrize("offset", [0, 100])
@pytest.mark.parametrize("width", [2, 600])
def test_exact_copies_are_never_authentic(width, offset):
    x = standard_normal(100, width) + offset
    real = feature_set(np.concatenate([x, x[:30]]))
    with_held_out(real, feature_set(standard_normal(9, width, 1) + offset))
    assert measure("authenticity", copy_samples(real), real).value == 0
    assert measure("copying", copy_samples(real), real).value == 1


@pytest.mark.parametrize(("width", "golden"), [(2, 0.37), (16, 0.70)])
def test_perfect_sampler_reaches_authenticity_floor(width, golden):
    real, fake = (
        feature_set(standard_normal(3000, width)),
        feature_set(standard_normal(3000, width, 1)),
    )
    measurement, floor = (
        measure("authenticity", fake, real),
        METRICS.make("authenticity").expected_floor(real, 9),
    )
    assert floor == pytest.approx(golden, abs=0.02)
    assert abs(measurement.value - floor) < 4 * 2**0.5 * measurement.standard_error


def test_authenticity_floor_is_leave_one_out():
    real = feature_set(standard_normal(60, 3))
    within = cdist(to_array(real), to_array(real))
    np.fill_diagonal(within, np.inf)
    authentic = []
    for i, row in enumerate(within):
        # Distances of the nearest neighbour to all other reals.
        others = np.delete(within[row.argmin()], i)
        authentic.append(row.min() > others.min())
    assert METRICS.make("authenticity").expected_floor(real, 5) == np.mean(authentic)


def test_authenticity_falls_with_share_of_copies():
    real = feature_set(standard_normal(1000, 16))
    values = []
    for share in (0, 0.25, 0.5, 1):
        x = standard_normal(1000, 16, 1)
        x[: int(share * 1000)] = to_array(real)[: int(share * 1000)] + 0.01
        values.append(measure("authenticity", feature_set(x), real).value)
    assert values == pytest.approx([0.7, 0.525, 0.35, 0], abs=0.05)


# Copying


def test_copying_equals_known_value():
    """Distances to the reals: fakes 0, 2, 5; held-out 1, 2, 3; so 3 + 1.5 + 0 of 9 pairs."""
    real = with_held_out(feature_set([0, 100]), feature_set([1, 98, 103]))
    measurement = measure("copying", feature_set([100, 2, -5]), real)
    assert measurement.value == 0.5
    assert measurement.standard_error == pytest.approx(np.std([1, 0.5, 0], ddof=1) / 3**0.5)


@pytest.mark.parametrize("width", [1, 4, 600])
@pytest.mark.parametrize("steps", [None, 4])
def test_copying_equals_mann_whitney_share(width, steps):
    """Rounding to a few steps creates ties."""
    samples = [standard_normal(n, width, n) * s for n, s in ((90, 0.9), (120, 1), (70, 1))]
    fake, real, held_out = (
        feature_set(a if steps is None else np.round(a * steps) / steps) for a in samples
    )
    fake_distances, held_out_distances = (
        cdist(to_array(s), to_array(real)).min(1) for s in (fake, held_out)
    )
    fake_distances, held_out_distances = (d.round(12) for d in (fake_distances, held_out_distances))
    measurement = measure("copying", fake, with_held_out(real, held_out))
    assert measurement.value == pytest.approx(
        mannwhitneyu(held_out_distances, fake_distances).statistic / (90 * 70)
    )
    placements = (held_out_distances > fake_distances[:, None]).mean(1) + (
        held_out_distances == fake_distances[:, None]
    ).mean(1) / 2
    assert measurement.standard_error == pytest.approx(placements.std(ddof=1) / 90**0.5)


def test_copying_separates_copies_from_held_out_data():
    real = with_held_out(
        feature_set(standard_normal(400, 8)), feature_set(standard_normal(300, 8, 1))
    )
    assert measure("copying", copy_samples(real), real).value == 1
    near = feature_set(to_array(real) + 0.1 * standard_normal(400, 8, 2))
    assert measure("copying", near, real).value > 0.95
    assert measure("copying", real.held_out(), real).value == 0.5
    assert measure("copying", feature_set(standard_normal(400, 8, 3) + 5), real).value < 0.01
    fresh = measure("copying", feature_set(standard_normal(400, 8, 4)), real)
    assert (
        abs(fresh.value - METRICS.make("copying").expected_floor(real, 400))
        < 4 * fresh.standard_error
    )


def test_copying_needs_finite_held_out_data():
    real = feature_set(standard_normal(20, 2))
    with pytest.raises(MetricNotApplicable, match="held-out real examples, but there are none"):
        measure("copying", copy_samples(real), real)
    with pytest.raises(MetricNotApplicable, match="not finite"):
        measure(
            "copying",
            copy_samples(real),
            with_held_out(real, feature_set(standard_normal(20, 2) * np.nan)),
        )


def test_held_out_distances_are_computed_once(monkeypatch):
    real = with_held_out(
        feature_set(standard_normal(50, 2)), feature_set(standard_normal(30, 2, 1))
    )
    first = measure("copying", feature_set(standard_normal(40, 2, 2)), real)
    computed = []
    monkeypatch.setattr(
        pairwise,
        "compute_pairwise",
        lambda x, y, _, original=pairwise.compute_pairwise: computed.append(x) or original(x, y, _),
    )
    fake = feature_set(standard_normal(40, 2, 2))
    assert measure("copying", fake, real) == first
    assert computed == [fake]


def test_metrics_share_one_pairwise_pass(monkeypatch):
    real = with_held_out(
        feature_set(standard_normal(50, 2)), feature_set(standard_normal(30, 2, 1))
    )
    fake = feature_set(standard_normal(40, 2, 2))
    metrics = [METRICS.make(name) for name in ("authenticity", "copying")]
    alone = [metric(feature_set(to_array(fake)), real) for metric in metrics]
    compute_pairwise_statistics(metrics, fake, real)
    monkeypatch.setattr(pairwise.CentredPairs, "iter_tiles", None)
    assert [metric(fake, real) for metric in metrics] == alone


# FID per class


def labelled_set(features, labels, classes):
    return feature_set(features, 5 * np.eye(classes)[labels])


def whitened_points(mean, count, seed):
    """Returns points with exactly this mean and unit covariance."""
    x = standard_normal(count, len(mean), seed)
    x = x - x.mean(0)
    return x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T + mean


def test_class_fid_averages_known_distances():
    """One class is shifted by 0.5 in 4 features, a distance of 1; the other is not."""
    labels = np.repeat([0, 1], [300, 100])
    real = labelled_set(
        np.concatenate([whitened_points([0] * 4, n, n) for n in (300, 100)]), labels, 2
    )
    moved = [whitened_points([0.5] * 4, 300, 1), whitened_points([0] * 4, 100, 2)]
    measurement = measure("class_fid", labelled_set(np.concatenate(moved), labels, 2), real)
    assert measurement.value == pytest.approx(0.5, rel=1e-4)


def random_classes(count, seed, scale=1.0, width=4, classes=3):
    labels = np.random.default_rng(seed).integers(classes, size=count)
    return labelled_set(
        standard_normal(count, width, seed) * scale + labels[:, None], labels, classes
    )


def test_class_fid_averages_fid_of_each_class():
    fake, real = random_classes(400, 0, 1.2), random_classes(500, 1)
    parts = []
    for label in range(3):
        sides = (FeatureSet(s.features[s.logits.argmax(1) == label]) for s in (fake, real))
        parts.append(measure("fid", *sides))
    measurement = measure("class_fid", fake, real)
    assert measurement.value == pytest.approx(np.mean([part.value for part in parts]), rel=1e-9)
    errors = [part.standard_error for part in parts]
    assert measurement.standard_error == pytest.approx(np.linalg.norm(errors) / 3, rel=1e-9)


def test_only_class_fid_detects_swapped_classes():
    real = random_classes(2000, 0, classes=2)
    fake = random_classes(2000, 1, classes=2)
    swapped = replace(fake, logits=fake.logits.flip(1))
    assert measure("fid", swapped, real).value == measure("fid", fake, real).value < 0.1
    assert measure("class_fid", fake, real).value < 0.1
    assert measure("class_fid", swapped, real).value > 3


@pytest.mark.parametrize(
    ("class_count", "sentence"),
    [
        (7, "1 of 8 classes have fewer than 2 fakes or reals: 7$"),
        (5, "3 of 8 classes have fewer than 2 fakes or reals: 5, 6, 7$"),
        (2, r"6 of 8 classes have fewer than 2 fakes or reals: 2, 3, 4, \.\.\.$"),
    ],
)
def test_class_fid_names_classes_with_few_samples(class_count, sentence):
    all_classes = labelled_set(standard_normal(80, 3), np.arange(80) % 8, 8)
    some_classes = labelled_set(standard_normal(80, 3), np.arange(80) % class_count, 8)
    for fake, real in ((some_classes, all_classes), (all_classes, some_classes)):
        with pytest.raises(MetricNotApplicable, match=sentence):
            measure("class_fid", fake, real)
    foreign = replace(all_classes, classes_are_modes=False)
    with pytest.raises(MetricNotApplicable, match="predicts other classes"):
        measure("class_fid", foreign, foreign)


def test_small_classes_give_no_standard_error():
    measurement = measure(
        "class_fid", random_classes(60, 0, width=40), random_classes(500, 1, width=40)
    )
    assert measurement.value > 0
    assert measurement.standard_error is None


def test_class_fid_floor_averages_class_floors():
    real, metric = random_classes(4000, 0), METRICS.make("class_fid")
    parts = [FeatureSet(real.features[real.logits.argmax(1) == label]) for label in range(3)]
    floors = [frechet.expected_distance(part, 300 * len(part) // 4000) for part in parts]
    assert metric.expected_floor(real, 300) == pytest.approx(np.mean(floors), rel=1e-9)
    assert metric.expected_floor(real, 30) is None  # 10 fakes per class are too few for the theory


def test_real_class_moments_are_cached_on_disk(tmp_path, monkeypatch):
    real, fake = random_classes(300, 0), random_classes(200, 1)
    real.cache = DiskCache(tmp_path, CPU)
    first = measure("class_fid", fake, real)
    sample_sizes, original = [], frechet.compute_moments
    monkeypatch.setattr(
        frechet, "compute_moments", lambda x: sample_sizes.append(len(x)) or original(x)
    )
    later = FeatureSet(real.features, real.logits)
    later.cache = DiskCache(tmp_path, CPU)
    for reference in (real, later):
        sample_sizes.clear()
        assert measure("class_fid", replace(fake), reference) == first
        assert sum(sample_sizes) == 200  # only the fakes
    assert {path.stem for path in tmp_path.iterdir()} == {
        f"class {label} {name}" for label in range(3) for name in ("moments", "factor")
    }
