"""Smoothness of interpolation: the evenness of image change along equal latent steps.

The value is the mean over paths of the mean step divided by the largest step, in features of the
extractor. It is 1 for even motion and 1 / steps for a single jump from one image to another. `ppl`
measures the length of a path and motion back and forth between two steps. The metric is not
applicable to a generator with constant images.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import Measurement, MetricNotApplicable, mean_measurement
from .feature_set import FeatureSet
from .ppl import PathMetric, need_float_features


@dataclass(frozen=True)
class Smoothness(PathMetric):
    direction = "higher"
    transform = "logit"

    paths: int = 200
    steps: int = 16

    def __post_init__(self) -> None:
        if self.paths < 2 or self.steps < 2:
            raise ValueError("there must be at least 2 paths and 2 steps")

    def check_applicable(self, fake: FeatureSet, real: FeatureSet) -> None:
        super().check_applicable(fake, real)
        need_float_features(fake)

    @torch.no_grad()
    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        steps = self.step_lengths(fake)
        if not bool(steps.any()):
            raise MetricNotApplicable("images do not change along any path")
        moving = steps[steps.any(1)]
        return mean_measurement(moving.mean(1) / moving.amax(1))

    def step_lengths(self, fake: FeatureSet) -> Tensor:
        """Returns the length of each path's steps: float64 [paths, steps]."""
        sampler = fake.sampler
        assert sampler
        assert sampler.features
        a, b = self.draw_ends(sampler, self.paths)
        which = torch.arange(self.paths)
        places = torch.linspace(0, 1, self.steps + 1, device=a.device).view(-1, 1, 1)
        points = (
            self.images_of_points(fake, self.interpolate(sampler, a, b, t), which) for t in places
        )
        features = torch.stack([sampler.features(images) for images in points])
        return features.double().diff(dim=0).norm(dim=2).T.cpu()
