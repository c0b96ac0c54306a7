"""Class accuracy: the share of fakes that show the class they were conditioned on.

The data's own classifier predicts the class of each fake.
"""

from dataclasses import dataclass

from .base import Measurement, Metric, logits_of, share_measurement
from .feature_set import FeatureSet


@dataclass(frozen=True)
class ClassAccuracy(Metric):
    direction = "higher"
    transform = "logit"
    needs = ("features", "classes", "labels")

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        assert fake.labels is not None
        predicted = logits_of(fake).argmax(1)
        right = (predicted == fake.labels.to(predicted.device)).double().mean()
        return share_measurement(float(right), len(fake))
