"""High-quality share (Srivastava et al., 2017): the share of fakes near a mode.

A fake is near a mode if it is within three standard deviations of the mode's centre. A perfect
sampler of round Gaussians in the plane scores 1 - exp(-4.5) = 0.9889, not 1.
"""

from dataclasses import dataclass

from .base import Measurement, Metric, assign_to_centres, share_measurement
from .feature_set import FeatureSet


@dataclass(frozen=True)
class HighQuality(Metric):
    direction = "higher"
    transform = "logit"
    needs = ("features", "mixture")

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        assert real.mixture
        _, good = assign_to_centres(fake.features, real.mixture)
        return share_measurement(float(good.double().mean()), len(fake))

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        from scipy.special import chdtr  # imported here: training needs no SciPy

        assert real.mixture
        return float(chdtr(real.mixture.centres.shape[1], 3**2))
