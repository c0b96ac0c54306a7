"""GAN-test (Shmelkov et al., 2018): the fakes that a classifier trained on reals takes for what was asked for.

It sees wrong and poor fakes, and no lack of diversity: compare with `cas`, which sees that. The published
one trains a ResNet; this one is a logistic regression, so compare within its label.
"""

from dataclasses import dataclass

from .base import Measurement, share
from .feature_set import FeatureSet
from .linear_probe import Classified, accuracy


@dataclass(frozen=True)
class GanTest(Classified):
    direction = "higher"
    transform = "logit"

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        found = accuracy(self.reals(real, real), self.fakes(fake, real))
        return share(found, len(fake))
