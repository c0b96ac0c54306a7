"""GAN-test (Shmelkov et al., 2018): train on reals, test on fakes.

The value is the share of fakes that the classifier assigns to the class they were conditioned on,
in [0, 1]. The metric detects wrong and poor fakes but no lack of diversity, which `cas` detects.
The paper trains a ResNet and this metric a logistic regression, so compare only values of this
metric.
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
