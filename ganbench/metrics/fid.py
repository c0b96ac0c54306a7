"""FID (Heusel et al., 2017): the Fréchet distance between Gaussians fitted to features."""

from dataclasses import dataclass
from typing import Any

from torch_fidelity.metric_fid import (
    KEY_METRIC_FID,
    fid_features_to_statistics,
    fid_statistics_to_metric,
)

from .base import Measurement, Metric, Sample, finite


@dataclass(frozen=True)
class Fid(Metric):
    direction = "lower"
    transform = "log"

    def __call__(self, fake: Sample, real: Sample) -> Measurement:
        ours, theirs = statistics(fake), statistics(real)
        distance = fid_statistics_to_metric(ours, theirs, verbose=False)[KEY_METRIC_FID]
        return Measurement(max(0.0, float(distance)))  # rounding can leave -4e-15 for equal sets


def statistics(sample: Sample) -> dict[str, Any]:
    """Mean [D] and covariance [D, D] in float64: float32 means drift where features are offset."""
    found = fid_features_to_statistics(finite(sample).double())
    size = sample.features.shape[1]
    return {"mu": found["mu"], "sigma": found["sigma"].reshape(size, size)}
