"""Classification accuracy score (Ravuri and Vinyals, 2019): train on fakes, test on reals.

The value is the accuracy on held-out reals, in [0, 1]. The classifier is trained on fakes only. The
paper trains a ResNet and this metric a logistic regression, so compare only values of this metric.
The test reals are held out: a generator that copies its training data scores as that data does.
There is no standard error, because each draw of fakes trains another classifier.
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
