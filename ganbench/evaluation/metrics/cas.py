"""Classification accuracy score (Ravuri and Vinyals, 2019): reals named rightly by a classifier that saw fakes alone.

The published one trains a ResNet; this one is a logistic regression, so compare within its label. The
reals are held-out ones: a generator that copies its training data scores as these do. There is no
standard error, since each drawing of fakes trains another classifier.
"""

from dataclasses import dataclass

from .base import Measurement
from .feature_set import FeatureSet
from .linear_probe import TrainsOnFakes, probe_accuracy


@dataclass(frozen=True)
class CAS(TrainsOnFakes):
    direction = "higher"
    transform = "logit"

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        return Measurement(
            probe_accuracy(self.labelled_fakes(fake, real), self.test_reals(fake, real))
        )
