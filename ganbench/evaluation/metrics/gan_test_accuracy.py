"""GAN-test (Shmelkov et al., 2018): the fakes that a classifier trained on reals takes for what was asked for.

It sees wrong and poor fakes, and no lack of diversity: compare with `cas`, which sees that. The published
one trains a ResNet; this one is a logistic regression, so compare within its label.
"""

from dataclasses import dataclass

from .base import Measurement, share_measurement
from .feature_set import FeatureSet
from .linear_probe import ClassifierMetric, probe_accuracy


@dataclass(frozen=True)
class GANTest(ClassifierMetric):
    direction = "higher"
    transform = "logit"

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        share = probe_accuracy(self.labelled_reals(real, real), self.labelled_fakes(fake, real))
        return share_measurement(share, len(fake))
