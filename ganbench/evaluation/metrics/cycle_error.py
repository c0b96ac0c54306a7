"""Cycle error (Zhu et al., 2017): the error of images translated there and back.

The value is the mean absolute difference in [0, 1] between source images and fakes translated back.
A low value alone means little: a translator that changes nothing scores 0.
"""

from dataclasses import dataclass

from .base import Measurement, Metric
from .differences import mean_absolute_difference, mean_over_pairs
from .feature_set import FeatureSet


@dataclass(frozen=True)
class CycleError(Metric):
    direction = "lower"
    transform = "log"
    needs = ("features", "returned")

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        return mean_over_pairs(fake.source, fake.returned, mean_absolute_difference)
