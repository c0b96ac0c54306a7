"""Closed forms of metrics, on hand-made features."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from ganbench.evaluation.metrics import METRICS
from ganbench.evaluation.metrics.feature_set import FeatureSet
from ganbench.registry import parse_spec

from .base import Settings, compare
from .hand_made_batch import draw_normal

Features = NDArray[np.float64]
CheckMetric = Callable[[str, Settings], Iterator[str]]
EXAMPLES, WIDTH, CLASSES = 60, 4, 5


def draw_features(seed: int) -> Features:
    return draw_normal(EXAMPLES, WIDTH, seed=seed).double().numpy()


def measure(text: str, fake: Features, real: Features, logits: Features | None = None) -> float:
    sides = [FeatureSet(features=torch.from_numpy(side)) for side in (fake, real)]
    if logits is not None:
        for side in sides:
            side.logits = torch.from_numpy(logits)
    return float(METRICS.make(text)(*sides).value)


def check_fid(text: str, settings: Settings) -> Iterator[str]:
    """FID is the squared shift of equal covariances, and a sum of squares of scales."""
    real = draw_features(1)
    shift = np.array([3.0, 0.0, -1.0, 2.0])
    yield from compare("FID of a shift", measure(text, real + shift, real), 14.0, 1e-3)
    covariance = np.cov(real, rowvar=False)
    centred = real - real.mean(0)
    expected = float(np.trace(covariance))  # of a doubled deviation: (2 - 1)² of each variance
    yield from compare("FID of a scale", measure(text, 2 * centred, centred), expected, 1e-3)


def check_kid(text: str, settings: Settings) -> Iterator[str]:
    """KID is the unbiased statistic of the cubic kernel over all pairs."""
    fake, real = draw_features(1), draw_features(2) + 0.5

    def kernels(x: Features, y: Features) -> Features:
        return (x @ y.T / WIDTH + 1) ** 3

    def within(x: Features) -> float:
        table = kernels(x, x)
        return float((table.sum() - np.trace(table)) / (len(x) * (len(x) - 1)))

    expected = within(fake) + within(real) - 2 * float(kernels(fake, real).mean())
    yield from compare("KID of normal features", measure(text, fake, real), expected, 1e-3)


def check_inception_score(text: str, settings: Settings) -> Iterator[str]:
    """IS of sure and equally frequent classes is their number, and of unsure ones 1."""
    features, single = draw_features(1), f"{parse_spec(text).name}(splits=1)"
    sure = 50 * np.eye(CLASSES)[np.arange(EXAMPLES) % CLASSES]
    for name, logits, expected in (("sure", sure, CLASSES), ("unsure", 0 * sure, 1)):
        value = measure(single, features, features, logits)
        yield from compare(f"IS of {name} classes", value, expected, 1e-3)


def share_near(points: Features, centres: Features, neighbours: int) -> float:
    """Computes the share of points within the distance of a centre to its k-th neighbour."""
    radii = np.sort(np.linalg.norm(centres[:, None] - centres[None], axis=2), axis=1)[:, neighbours]
    distances = np.linalg.norm(points[:, None] - centres[None], axis=2)
    return float((distances <= radii).any(1).mean())


def check_precision(text: str, settings: Settings) -> Iterator[str]:
    """Precision is the share of fakes near reals."""
    fake, real = draw_features(1), 0.7 * draw_features(2)
    expected = share_near(fake, real, settings["k"])
    yield from compare("precision of normal features", measure(text, fake, real), expected)


def check_recall(text: str, settings: Settings) -> Iterator[str]:
    """Recall is the share of reals near fakes."""
    fake, real = 0.7 * draw_features(1), draw_features(2)
    expected = share_near(real, fake, settings["k"])
    yield from compare("recall of normal features", measure(text, fake, real), expected)


METRIC_CHECKS: dict[str, CheckMetric] = {
    "fid": check_fid,
    "is": check_inception_score,
    "kid": check_kid,
    "precision": check_precision,
    "recall": check_recall,
}
