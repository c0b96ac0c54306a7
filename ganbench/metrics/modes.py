"""Mode coverage (Metz et al., 2017; Lin et al., 2018): how many modes of the data the fakes hit.

Modes are the centres of a known mixture, or the classes that the extractor tells apart. A mode is hit
by one sample, or by the given share of its fair share: a classifier that errs hits every class.
"""

from dataclasses import dataclass

from .base import Measurement, Metric, Sample, mode_counts


@dataclass(frozen=True)
class Modes(Metric):
    direction = "higher"
    transform = "none"
    unit = "modes"

    share: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must lie in [0, 1], not {self.share}")

    def __call__(self, fake: Sample, real: Sample) -> Measurement:
        counts = mode_counts(fake, real)
        least = max(1.0, self.share * len(fake) / len(counts))
        return Measurement(float((counts >= least).sum()))
