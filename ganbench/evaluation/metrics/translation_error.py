"""Translation error: the mean absolute difference of fakes and their targets, in [0, 1].

The targets are known for some data although training is unpaired, and for images that were damaged
on purpose.
"""

from dataclasses import dataclass

from .base import Measurement, Metric
from .differences import mean_absolute_difference, mean_over_pairs
from .feature_set import FeatureSet


@dataclass(frozen=True)
class TranslationError(Metric):
    direction = "lower"
    transform = "log"
    needs = ("features", "truth")

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        return mean_over_pairs(fake.images, fake.truth, mean_absolute_difference)
