"""Law error: the distance of a clip's motion from the nearest lawful path, in pixels.

The path moves in one of four directions at a lawful speed and bounces at the walls. The motion is
that of the centre of brightness. The distance is the root mean square over frames. Real clips score
0 but for rounding.
"""

from dataclasses import dataclass

from .base import Measurement, Metric, mean_measurement
from .feature_set import FeatureSet
from .motion import paths_of


@dataclass(frozen=True)
class LawError(Metric):
    direction = "lower"
    transform = "none"
    unit = "pixels"
    needs = ("features", "law")

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        assert real.law
        return mean_measurement(paths_of(fake, real.law).distance)

    def expected_floor(self, real: FeatureSet, count: int) -> float:
        return 0.0
