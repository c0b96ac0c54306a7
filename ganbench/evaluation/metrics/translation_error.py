"""Translation error: how far fakes are from what they should be, by mean absolute difference in [0, 1].

Of data whose answer is known although training is unpaired, or of images that were damaged on purpose.
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
