"""Precision (Kynkäänniemi et al., 2019): the share of fakes that lie among the reals."""

from .base import Measurement, Sample
from .manifold import Manifold, precision_and_recall


class Precision(Manifold):
    def __call__(self, fake: Sample, real: Sample) -> Measurement:
        return Measurement(precision_and_recall(fake, real, self.k)[0])
