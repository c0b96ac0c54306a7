"""ACD (Tulyakov et al., 2018): the mean distance of content between a clip's frames.

The content of a frame is its features in the classifier of single frames. The distance is L2, over
all pairs of frames of a clip. The floor is that of real clips: features also depend on the place.
A generator of still clips scores 0, so read it beside `law_error`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import Measurement, Metric, mean_measurement
from .feature_set import FeatureSet


@dataclass(frozen=True)
class ACD(Metric):
    direction = "lower"
    transform = "log"
    needs = ("features", "frames")

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        assert fake.frames
        return mean_measurement(frame_distances(fake.frames().features, len(fake)))


def frame_distances(features: Tensor, clips: int) -> Tensor:
    """Returns the mean L2 distance of the frames of each clip: [N * T, F] => float64 [N]."""
    each = features.double().unflatten(0, (clips, -1))
    frames = each.shape[1]
    first, second = torch.triu_indices(frames, frames, 1, device=each.device)
    return (each[:, first] - each[:, second]).norm(dim=2).mean(1)
