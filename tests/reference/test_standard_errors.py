"""Standard errors and analytic floors against repeated sampling.

For errors the reals stay fixed and the fakes are drawn anew. The mean standard error is compared with
the standard deviation of the values, as their ratio. The coverage is the share of values within 1.96
standard errors of the overall mean. For floors the reals are drawn anew too, from the law of the fakes.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from helpers import split
from torch import Generator, Tensor

from ganbench.data.base import Mixture
from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.base import compute_pairwise_statistics
from ganbench.evaluation.metrics.feature_set import FeatureSet

RING = split("ring").mixture
# Weights of a linear classifier of features:
CLASSIFIER_WEIGHTS = torch.randn(64, 5, generator=Generator().manual_seed(99))
PRDC = ("precision", "recall", "density", "coverage")
MIND = "mind(directions=50)"
FEATURE_METRICS = (
    "fid",
    "fid_unbiased",
    "fid_infinity",
    "kid",
    "kid_subsets(subset_size=100)",
    *PRDC,
    MIND,
)
MEMORISATION_METRICS = ("authenticity", "copying")
DRAWS = 300


def normals(count: int, random: Generator, width=8, scale=1.0, shift=0.0) -> FeatureSet:
    """Gaussian features, the first two of them shifted, and logits of a linear classifier."""
    x = torch.randn(count, width, generator=random) * scale
    x[:, :2] += shift
    return FeatureSet(x, 2 * x @ CLASSIFIER_WEIGHTS[:width] / width**0.5)


def ring(count: int, random: Generator, shares=(1,) * 8, scale=1.0) -> FeatureSet:
    centres = RING.centres[torch.tensor(shares).float().multinomial(count, True, generator=random)]
    noise = torch.randn(count, 2, generator=random)
    return FeatureSet(centres + RING.std * scale * noise, mixture=RING)


def classes(count: int, random: Generator, shares: Tensor) -> FeatureSet:
    labels = shares.multinomial(count, True, generator=random)
    logits = 9 * torch.nn.functional.one_hot(labels, len(shares)).float()
    return FeatureSet(torch.zeros(count, 1), logits)


Law = Callable[[int, Generator], FeatureSet]


@dataclass(frozen=True)
class Scene:
    """Numbers and laws of fakes and reals, and the metrics."""

    fakes: int
    reals: int
    real: Law
    fake: Law
    metrics: tuple[str, ...]


def wide(count, random):
    return normals(count, random, 64)


def wide_shifted(count, random):
    return normals(count, random, 64, 0.9, 0.5)


def even_classes(count, random):
    return classes(count, random, torch.ones(200))


def zipf_classes(count, random):
    return classes(count, random, 1 / torch.arange(1, 201))


def shifted(count, random):
    return normals(count, random, scale=0.8, shift=0.5)


def uneven_ring(count, random):
    return ring(count, random, (8, 4, 2, 1, 1, 0.5, 0.01, 0), 1.3)


ALL_FEATURE_METRICS = (*FEATURE_METRICS, *MEMORISATION_METRICS, "is", "class_fid")
WIDE_METRICS = (*FEATURE_METRICS, *MEMORISATION_METRICS, "is")
RING_METRICS = ("high_quality", "reverse_kl", "precision", "density", "coverage")
CLASS_METRICS = ("modes", "modes(share=0.9)", "reverse_kl")
SCENES = {
    "same": Scene(400, 500, normals, normals, ALL_FEATURE_METRICS),
    "off": Scene(400, 500, normals, shifted, ALL_FEATURE_METRICS),
    "wide": Scene(400, 500, wide, wide, WIDE_METRICS),
    "wide, off": Scene(400, 500, wide, wide_shifted, WIDE_METRICS),
    "few": Scene(60, 400, wide, wide, ("fid",)),  # fewer fakes than features
    "few, off": Scene(60, 400, wide, wide_shifted, ("fid",)),
    "ring": Scene(400, 500, ring, ring, (*RING_METRICS, "recall")),
    "ring, off": Scene(400, 500, ring, uneven_ring, (*RING_METRICS, "modes(share=0.2)")),
    "classes": Scene(300, 4000, even_classes, even_classes, CLASS_METRICS),
    "classes, off": Scene(300, 4000, even_classes, zipf_classes, CLASS_METRICS),
}
CASES = [(name, metric) for name, scene in SCENES.items() for metric in scene.metrics]


@cache
def measure_repeatedly(name: str, draws: int) -> dict[str, np.ndarray]:
    """Values and standard errors over repeated fakes, by metric: [draws, 2]."""
    scene, random = SCENES[name], Generator().manual_seed(7)
    real, held_out = (scene.real(scene.reals, random) for _ in range(2))
    real.held_out = lambda: held_out
    parts = {metric: METRICS.make(metric) for metric in scene.metrics}
    pairs: dict[str, list[tuple[float, float]]] = {metric: [] for metric in scene.metrics}
    for _ in range(draws):
        fake = scene.fake(scene.fakes, random)
        compute_pairwise_statistics(parts.values(), fake, real)
        for metric, part in parts.items():
            reading = part(fake, real)
            pairs[metric].append((reading.value, reading.standard_error))
    return {metric: np.array(values) for metric, values in pairs.items()}


def error_ratio_and_coverage(values_and_errors: np.ndarray) -> tuple[float, float]:
    values, errors = values_and_errors.T
    near = abs(values - values.mean()) <= 1.96 * errors
    return errors.mean() / values.std(ddof=1), near.mean()


# The largest ratios where errors are known to be too large. For equal laws the first derivative of a
# distance is zero, and its estimate is noise. For few fakes the error is a jackknife's.
# For a share of the fair share it is a bootstrap's, which adds noise to noise.
MAX_ERROR_RATIOS = {
    ("same", "fid"): 1.4,
    ("same", "fid_unbiased"): 1.4,
    ("same", "kid"): 1.4,
    ("same", MIND): 1.4,
    ("wide", "fid"): 1.4,
    ("wide", "fid_unbiased"): 1.4,
    ("wide", "kid"): 1.4,
    ("wide", MIND): 1.4,
    ("few", "fid"): 1.4,
    ("few, off", "fid"): 1.5,
    ("classes", "modes(share=0.9)"): 1.7,
    ("classes, off", "modes(share=0.9)"): 1.7,
}


@pytest.mark.slow
@pytest.mark.parametrize(("scene", "metric"), CASES)
def test_errors_match_repeated_sampling(scene, metric):
    ratio, coverage = error_ratio_and_coverage(measure_repeatedly(scene, DRAWS)[metric])
    assert 0.8 < ratio < MAX_ERROR_RATIOS.get((scene, metric), 1.3)
    assert coverage >= 0.88
    if (scene, metric) not in MAX_ERROR_RATIOS and ratio < 1.1:
        assert coverage <= 0.985


def test_errors_roughly_match_repeated_sampling():
    """A fast version: few draws in one scene, for all metrics of features."""
    for metric, values_and_errors in measure_repeatedly("off", 60).items():
        ratio, coverage = error_ratio_and_coverage(values_and_errors)
        assert 0.7 < ratio < 1.45, metric
        assert coverage >= 0.83, metric


def test_unbiased_fid_error_needs_enough_fakes():
    random = Generator().manual_seed(0)
    real = wide(200, random)
    assert METRICS.make("fid_unbiased")(wide(64, random), real).standard_error is None
    assert METRICS.make("fid_unbiased")(wide(65, random), real).standard_error > 0


@pytest.mark.parametrize(("metric", "width"), [("fid", 256), ("fid_unbiased", 64)])
def test_fid_and_error_do_not_depend_on_order_of_fakes(metric, width):
    """The files of a folder are often ordered by class."""
    random = Generator().manual_seed(0)
    real, fake = (FeatureSet(torch.randn(count, width, generator=random)) for count in (1000, 200))
    fake.features[:, 0] += torch.randint(10, (200,), generator=random)
    by_class = FeatureSet(fake.features[fake.features[:, 0].argsort()])
    mixed, ordered = (METRICS.make(metric)(side, real) for side in (fake, by_class))
    assert ordered.value == pytest.approx(mixed.value, abs=mixed.standard_error)
    assert ordered.standard_error == pytest.approx(mixed.standard_error, rel=0.5)


# Recall and coverage: a jackknife in closed form


def kth_smallest(distances, k):
    return distances.topk(k, largest=False).values[:, k - 1 : k]


def distances_between(x, y):
    distances = torch.cdist(x.features.double(), y.features.double())
    return distances.fill_diagonal_(torch.inf) if x is y else distances


def leave_one_out(fakes, share):
    """The share of reals with each fake left out."""
    keep = ~torch.eye(fakes, dtype=torch.bool)
    return torch.stack([share(rows) for rows in keep])


@pytest.mark.parametrize("law", [normals, shifted, wide, wide_shifted])
def test_coverage_error_equals_corrected_jackknife(law):
    random = Generator().manual_seed(3)
    fake, real = law(120, random), (wide if "wide" in law.__name__ else normals)(150, random)
    inside = distances_between(fake, real) < kth_smallest(distances_between(real, real), 5).T
    without = leave_one_out(120, lambda rows: inside[rows].any(0).double().mean())
    jackknife = float((without - without.mean()).square().sum())
    held_once, held = (inside.sum(0) == 1).sum(), inside.any(0).sum()
    most = (held + 0.5) * (150 - held + 0.5) / 151
    expected = (jackknife - (held_once - most).clamp(min=0) / 150**2).clamp(min=0).sqrt()
    error = METRICS.make("coverage")(fake, real).standard_error
    assert error == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("law", [normals, shifted, wide, wide_shifted])
def test_recall_error_is_below_jackknife(law):
    """It is not far below: reals in several balls are ignored when all balls grow."""
    random = Generator().manual_seed(3)
    fake, real = law(120, random), (wide if "wide" in law.__name__ else normals)(150, random)
    within, across = distances_between(fake, fake), distances_between(fake, real)

    def recall(rows):
        return (across[rows] <= kth_smallest(within[rows][:, rows], 3)).any(0).double().mean()

    without = leave_one_out(120, recall)
    jackknife = float((without - without.mean()).square().sum()) ** 0.5
    reading = METRICS.make("recall")(fake, real)
    assert reading.value == pytest.approx(float(recall(torch.ones(120, dtype=torch.bool))))
    assert 0.4 * jackknife < reading.standard_error < jackknife


def test_prdc_errors_are_never_nan():
    x = FeatureSet(torch.arange(12.0)[:, None])
    for metric in PRDC:
        for count in (6, 7, 12):
            error = METRICS.make(metric)(FeatureSet(x.features[:count].clone()), x).standard_error
            assert error is None or 0 <= error < 1
    fake = FeatureSet(x.features[:4].clone())
    assert METRICS.make("recall")(fake, x).standard_error is None  # a fourth neighbour is missing


# Floors


def thousand_modes(count: int, random: Generator) -> FeatureSet:
    """Points at the centres of a mixture of 1,000 modes."""
    centres = torch.stack([torch.arange(1000.0), torch.zeros(1000)], 1)
    return FeatureSet(
        centres[torch.randint(1000, (count,), generator=random)], mixture=Mixture(centres, 0.1)
    )


def test_floors_equal_golden_values():
    all_classes = FeatureSet(torch.zeros(1000, 1), torch.eye(1000))
    assert METRICS.make("modes").expected_floor(all_classes, 1000) == pytest.approx(
        632.305, abs=1e-3
    )
    points = ring(10, Generator())
    assert METRICS.make("high_quality").expected_floor(points, 1) == pytest.approx(
        0.988891, abs=1e-6
    )
    many = FeatureSet(torch.zeros(5000, 2))
    assert METRICS.make("coverage(k=5)").expected_floor(many, 5000) == pytest.approx(
        0.9687969, abs=1e-7
    )
    for metric, floor in {"kid": 0, "kid_subsets": 0, "density": 1, "copying": 0.5}.items():
        assert METRICS.make(metric).expected_floor(many, 10) == floor


def test_reverse_kl_matches_perfect_stacked_digits():
    """26,000 samples of 1,000 modes: 0.01921 ± 0.0009."""
    random = Generator().manual_seed(0)
    readings = [
        METRICS.make("reverse_kl")(x, x) for x in (thousand_modes(26_000, random) for _ in range(2))
    ]
    floor = METRICS.make("reverse_kl").expected_floor(thousand_modes(10, random), 26_000)
    assert floor == pytest.approx(0.01921, abs=2e-4)
    assert [reading.value for reading in readings] == pytest.approx([floor] * 2, abs=4 * 0.0009)
    assert [reading.standard_error for reading in readings] == pytest.approx([0.0009] * 2, rel=0.2)


@pytest.mark.parametrize(("fakes", "expected"), [(10_000, 0.0609), (26_000, 0.0293)])
def test_expected_reverse_kl_of_classes_counts_the_reals_too(fakes, expected):
    """The target of classes is a sample of 50,000 reals, as in stacked digits."""
    labels = torch.arange(50_000) % 1000
    reals = FeatureSet(
        torch.zeros(50_000, 1), torch.nn.functional.one_hot(labels).float(), classes_are_modes=True
    )
    floor = METRICS.make("reverse_kl").expected_floor(reals, fakes)
    assert floor == pytest.approx(expected, abs=1e-4)


FLOOR_CASES = {  # metric: law, fakes, reals, relative tolerance of the theory
    "fid": (normals, 400, 500, 0.03),
    "fid_unbiased": (normals, 400, 500, 0.03),
    "fid_infinity": (lambda n, random: normals(n, random, 4), 1000, 500, 0.03),
    "class_fid": (normals, 1000, 1200, 0.05),
    "kid": (normals, 200, 300, 0),
    "kid_subsets(subset_size=50)": (normals, 200, 300, 0),
    "density": (normals, 200, 300, 0),
    "coverage": (normals, 200, 300, 0),
    "coverage(k=2)": (wide, 300, 200, 0),
    "authenticity": (normals, 200, 300, 0.01),  # one real fewer
    "copying": (normals, 200, 300, 0),
    "high_quality": (ring, 200, 20, 0),
    "modes": (ring, 20, 20, 0),
    "modes(share=0.5)": (ring, 40, 20, 0.01),
    "reverse_kl": (ring, 200, 20, 0.02),  # 1.1 % of the fakes are near no mode
}


def mean_value_and_floor(
    metric: str, law: Law, fakes: int, reals: int, draws: int
) -> tuple[float, float, float]:
    """Mean value of a perfect sampler, its standard error, and the mean floor."""
    part, random, pairs = METRICS.make(metric), Generator().manual_seed(5), []
    for _ in range(draws):
        fake, real, held_out = (law(count, random) for count in (fakes, reals, reals))
        real.held_out = lambda held_out=held_out: held_out
        pairs.append((part(fake, real).value, part.expected_floor(real, fakes)))
    values, floors = np.array(pairs).T
    return values.mean(), (values - floors).std(ddof=1) / draws**0.5, floors.mean()


@pytest.mark.slow
@pytest.mark.parametrize("metric", FLOOR_CASES)
def test_floors_equal_scores_of_perfect_samplers(metric):
    law, fakes, reals, tolerance = FLOOR_CASES[metric]
    value, error, floor = mean_value_and_floor(metric, law, fakes, reals, 400)
    assert abs(value - floor) < 4 * error + tolerance * abs(floor)


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["modes", "modes(share=0.9)", "reverse_kl"])
@pytest.mark.parametrize("law", [even_classes, zipf_classes])
def test_class_floors_equal_scores_of_perfect_samplers(metric, law):
    """Class shares come from a sample of reals, which allows a deviation of a few percent."""
    value, error, floor = mean_value_and_floor(metric, law, 300, 8000, 100)
    assert abs(value - floor) < 4 * error + 0.04 * floor


@pytest.mark.parametrize("metric", ["density", "coverage", "kid", "copying", "authenticity"])
def test_floors_roughly_equal_perfect_sampler_scores(metric):
    law, fakes, reals, tolerance = FLOOR_CASES[metric]
    value, error, floor = mean_value_and_floor(metric, law, fakes, reals, 40)
    assert abs(value - floor) < 4 * error + tolerance * abs(floor)


def test_floors_are_none_outside_theory():
    random = Generator().manual_seed(0)
    real = normals(2000, random)
    assert METRICS.make("fid_unbiased").expected_floor(real, 31) is None  # under four per feature
    assert METRICS.make("fid_unbiased").expected_floor(real, 32) > 0
    assert METRICS.make("fid_infinity").expected_floor(real, 319) is None  # at its smallest size
    assert METRICS.make("fid_infinity").expected_floor(real, 320) > 0


@pytest.fixture(autouse=True)
def runtime_warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield
