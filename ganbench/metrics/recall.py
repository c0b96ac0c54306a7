"""Recall (Kynkäänniemi et al., 2019): the share of reals that lie among the fakes."""

from dataclasses import dataclass

from .base import Measurement, Metric, Sample
from .manifold import precision_and_recall


@dataclass(frozen=True)
class Recall(Metric):
    direction = "higher"
    transform = "logit"

    k: int = 3

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k must be at least 1, not {self.k}")

    def __call__(self, fake: Sample, real: Sample) -> Measurement:
        return Measurement(precision_and_recall(fake, real, self.k)[1])
