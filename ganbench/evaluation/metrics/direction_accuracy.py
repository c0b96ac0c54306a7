"""Direction accuracy: the share of clips that move in the direction of their label.

A label is the class that a fake was conditioned on. The class of a moving digit is 4 · digit +
direction. The direction of a clip is that of the nearest lawful path. `law_error` is its distance.
"""

from dataclasses import dataclass

from ganbench.data.bouncing import DIRECTIONS

from .base import Measurement, Metric, share_measurement
from .feature_set import FeatureSet
from .motion import paths_of


@dataclass(frozen=True)
class DirectionAccuracy(Metric):
    direction = "higher"
    transform = "logit"
    needs = ("features", "law", "labels")

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        assert real.law
        assert fake.labels is not None
        shown = paths_of(fake, real.law).direction
        right = (shown == fake.labels.to(shown.device) % len(DIRECTIONS)).double().mean()
        return share_measurement(float(right), len(fake))
