"""Inception score (Salimans et al., 2016): exp of the mean KL from a class posterior to their mean.

By ten splits after a shuffle, as torch-fidelity does it; with the classifier of the extractor that is
in use, so that scores of different extractors are different metrics.
"""

from dataclasses import dataclass

from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric

from .base import Measurement, Metric, Sample, Unmeasurable, finite, logits


@dataclass(frozen=True)
class InceptionScore(Metric):
    direction = "higher"
    transform = "log"

    splits: int = 10

    def __post_init__(self) -> None:
        if self.splits < 1:
            raise ValueError(f"splits must be at least 1, not {self.splits}")

    def __call__(self, fake: Sample, real: Sample) -> Measurement:
        finite(fake)
        if len(fake) < self.splits:
            raise Unmeasurable(f"{self.splits} splits need at least as many examples")
        known = logits(fake)
        # 80 below the highest is a probability of 2e-35: zero to every digit, and its log is finite.
        known = (known - known.amax(1, keepdim=True)).clamp(min=-80)
        found = isc_features_to_metric(known, splits=self.splits, shuffle=True)
        return Measurement(float(found[KEY_METRIC_ISC_MEAN]))
