"""Augmentation: the accuracy that fakes add to a classifier with few training reals.

The classifier is trained on the first `few` reals of each class, once alone and once with all
fakes. Both are tested on held-out reals. The value is the difference of the two accuracies, in [-1,
1]; fakes do harm below zero. There is no standard error, for the same reason as for `cas`.
"""

from dataclasses import dataclass

import torch

from .base import Measurement
from .feature_set import FeatureSet
from .linear_probe import LabelledFeatures, TrainsOnFakes, probe_accuracy


@dataclass(frozen=True)
class Augmentation(TrainsOnFakes):
    direction = "higher"
    transform = "none"

    few: int = 10

    def __post_init__(self) -> None:
        if self.few < 1:
            raise ValueError(f"few must be at least 1, not {self.few}")

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        small, test = (
            self.subsample_classes(self.labelled_reals(real, real)),
            self.test_reals(fake, real),
        )
        both = small + self.labelled_fakes(fake, real)
        return Measurement(probe_accuracy(both, test) - probe_accuracy(small, test))

    def subsample_classes(self, reals: LabelledFeatures) -> LabelledFeatures:
        """Returns the first `few` examples of each class."""
        first = [(reals.y == label).nonzero()[: self.few, 0] for label in reals.y.unique()]
        return reals.where(torch.cat(first))
