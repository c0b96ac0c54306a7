"""Recall (Kynkäänniemi et al., 2019): the share of reals that lie among the fakes."""

from .base import Measurement, Sample
from .manifold import Manifold, precision_and_recall


class Recall(Manifold):
    def __call__(self, fake: Sample, real: Sample) -> Measurement:
        return Measurement(precision_and_recall(fake, real, self.k)[1])
