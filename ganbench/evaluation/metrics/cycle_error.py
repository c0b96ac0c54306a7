"""Cycle error (Zhu et al., 2017): how far images come back from where they went, there and back again.

The mean absolute difference in [0, 1] between what fakes were made from and what translating them back
makes of them. A low one alone means little: a translator that changes nothing has none.
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
