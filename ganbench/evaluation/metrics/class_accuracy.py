"""Class accuracy: the share of fakes that the data's classifier takes for the class that was asked for."""

from dataclasses import dataclass

from .base import Measurement, Metric, logits, share
from .feature_set import FeatureSet


@dataclass(frozen=True)
class ClassAccuracy(Metric):
    direction = "higher"
    transform = "logit"
    needs = ("features", "classes", "labels")

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        assert fake.labels is not None
        told = logits(fake).argmax(1)
        right = (told == fake.labels.to(told.device)).double().mean()
        return share(float(right), len(fake))
