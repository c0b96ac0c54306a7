"""Speed error: the difference between a clip's speed and the nearest lawful speed.

The speed is the median length of a step of the centre of brightness, in pixels per frame. A bounce
shortens single steps only, so the median is the speed between bounces. Real clips score 0 but for
rounding, except where most steps touch a wall.
"""

from dataclasses import dataclass

import torch

from .base import Measurement, Metric, mean_measurement
from .feature_set import FeatureSet
from .motion import centres_of_brightness


@dataclass(frozen=True)
class SpeedError(Metric):
    direction = "lower"
    transform = "none"
    unit = "pixels per frame"
    needs = ("features", "law")

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        assert real.law
        assert fake.images is not None
        steps = centres_of_brightness(fake.images).diff(dim=1).norm(dim=2)
        speed = steps.median(1).values
        lawful = torch.tensor(real.law.speeds).to(speed)
        return mean_measurement((speed[:, None] - lawful).abs().amin(1))
