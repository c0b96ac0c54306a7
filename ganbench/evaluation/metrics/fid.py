"""FID (Heusel et al., 2017): the Fréchet distance between Gaussians fitted to features.

`‖μ₁ − μ₂‖² + tr(S₁ + S₂ − 2 (S₁ S₂)^½)` of means `μ` and covariances `S`.

Values lie in [0, ∞). The standard error is the standard deviation of the distance's derivative
towards each fake, divided by √N. If there are no more fakes than features, it comes from a
jackknife. FID is biased upwards by an amount that falls as 1 / N, so compare only at equal N.
"""

from dataclasses import dataclass

from .base import Measurement, Metric
from .feature_set import FeatureSet
from .frechet import expected_distance, frechet_distance, influence_deviation


@dataclass(frozen=True)
class FID(Metric):
    direction = "lower"
    transform = "log"

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        one = influence_deviation(fake, real)
        error = None if one is None else one / len(fake) ** 0.5
        return Measurement(frechet_distance(fake, real), error)

    def expected_floor(self, real: FeatureSet, count: int) -> float | None:
        return expected_distance(real, count)
