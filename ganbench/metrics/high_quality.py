"""High-quality share (Srivastava et al., 2017): fakes within three deviations of a mode's centre.

A perfect sampler of round Gaussians in the plane scores 1 - exp(-4.5) = 0.9889, not 1.
"""

from dataclasses import dataclass

from .base import Measurement, Metric, Sample, Unmeasurable, assigned, finite


@dataclass(frozen=True)
class HighQuality(Metric):
    direction = "higher"
    transform = "logit"

    def __call__(self, fake: Sample, real: Sample) -> Measurement:
        if real.mixture is None:
            raise Unmeasurable("needs points of a known mixture")
        _, good = assigned(finite(fake), real.mixture)
        return Measurement(float(good.double().mean()))
