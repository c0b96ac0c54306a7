"""Perceptual path length (Karras et al., 2019): image change for a small latent step.

The value is the mean squared change, E d(G(a), G(b)) / epsilon², over pairs of latents. b is a step
of epsilon from a towards another latent: along the arc in z, on the line in w. a is a latent, as in
the published sampling "end"; in "full" it is a random place between two. Lower is smoother, and a
collapsed generator scores 0.

d is LPIPS (`lpips`), or by default the squared distance of the extractor's features. LPIPS is that of
torch-fidelity, on images of 64x64 pixels. StyleGAN's values have images of up to 256x256 pixels.
Values of different distances, sizes or extractors cannot be compared. Images are not rounded,
because rounding would appear as jumps. All computation is in float32, as published. The lowest and
the highest `discard` percent of pairs are dropped, as in torch-fidelity. The standard error of such
a trimmed mean is that of Tukey and McLaughlin (1963).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ganbench.gan.latent_sampler import Distance, LatentSampler, lerp, slerp

from .base import Measurement, Metric, MetricNotApplicable, standard_deviation
from .feature_set import FeatureSet

PATH_SEED = 2020
PATHS_PER_BATCH = 250
Space = Literal["z", "w"]
Interpolation = Literal["own", "slerp", "lerp"]


@dataclass(frozen=True)
class PathMetric(Metric):
    """A metric of images on paths between two latents.

    With interpolation "own", paths follow the arc in z and the line in w.
    """

    needs = ("features", "sampler")

    space: Space = "z"
    interpolation: Interpolation = "own"

    def check_applicable(self, fake: FeatureSet, real: FeatureSet) -> None:
        super().check_applicable(fake, real)
        assert fake.sampler
        if self.space == "w" and fake.sampler.mapping is None:
            raise MetricNotApplicable(
                "needs a generator that maps latents to w, but this one does not"
            )

    def draw_ends(self, sampler: LatentSampler, count: int) -> tuple[Tensor, Tensor]:
        """Returns `count` random pairs of points of the space: [N, L] each."""
        random = torch.Generator(sampler.device).manual_seed(PATH_SEED)
        a, b = (sampler.latents(count, random) for _ in range(2))
        if self.space == "z":
            return a, b
        assert sampler.mapping
        return sampler.mapping(a), sampler.mapping(b)

    def interpolate(self, sampler: LatentSampler, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        """Returns the points at t between two points of the space [N, L]; t is [N or 1, 1].

        Codes are not interpolated: the result has those of a.
        """
        if self.space == "w":
            return (slerp if self.interpolation == "slerp" else lerp)(a, b, t)
        moved = (lerp if self.interpolation == "lerp" else slerp)(
            a[:, : sampler.gaussian], b[:, : sampler.gaussian], t
        )
        return torch.cat([moved, a[:, sampler.gaussian :]], 1)

    def images_of_points(self, fake: FeatureSet, points: Tensor, which: Tensor) -> Tensor:
        """Returns the images of points of the space.

        Conditional generators get the classes of the fakes with indices `which`.
        """
        sampler = fake.sampler
        assert sampler
        if self.space == "w":
            assert sampler.synthesis
            return sampler.synthesis(points)
        labels = None
        if fake.labels is not None:
            labels = fake.labels.to(points.device)[which.to(points.device) % len(fake.labels)]
        return sampler.images(points, labels)


@dataclass(frozen=True)
class PPL(PathMetric):
    direction = "lower"
    transform = "log"

    distance: Literal["extractor", "lpips"] = "extractor"
    pairs: int = 5000
    epsilon: float = 1e-4
    discard: float = 1.0  # percent of the pairs, on each side

    def __post_init__(self) -> None:
        if self.pairs < 2 or self.epsilon <= 0 or not 0 <= self.discard < 50:
            raise ValueError(
                "there must be at least 2 pairs, epsilon above 0, and discard in [0, 50)"
            )

    def check_applicable(self, fake: FeatureSet, real: FeatureSet) -> None:
        super().check_applicable(fake, real)
        if self.distance == "extractor":
            need_float_features(fake)
        elif fake.sampler is None or fake.sampler.lpips is None:
            raise MetricNotApplicable("needs LPIPS to compare images, which is not available here")

    @torch.no_grad()
    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        assert fake.sampler
        a, b = self.draw_ends(fake.sampler, self.pairs)
        step = torch.full((1, 1), self.epsilon, device=a.device)
        far = self.image_distance(fake)
        parts = []
        for which in torch.arange(self.pairs).split(PATHS_PER_BATCH):
            start = a[which.to(a.device)]
            points = (start, self.interpolate(fake.sampler, start, b[which.to(a.device)], step))
            parts.append(far(*(self.images_of_points(fake, end, which) for end in points)))
        return trimmed_mean(torch.cat(parts).double().cpu() / self.epsilon**2, self.discard)

    def image_distance(self, fake: FeatureSet) -> Distance:
        """Returns the distance function of images: [N, C, H, W] twice => [N]."""
        assert fake.sampler
        if self.distance == "lpips":
            assert fake.sampler.lpips
            return fake.sampler.lpips()
        features = fake.sampler.features
        assert features
        return lambda x, y: (features(x) - features(y)).square().sum(1)


def need_float_features(fake: FeatureSet) -> None:
    if fake.sampler is None or fake.sampler.features is None:
        raise MetricNotApplicable(
            "needs an extractor that accepts unrounded images, but this one accepts only bytes"
        )


def trimmed_mean(values: Tensor, percent: float) -> Measurement:
    """Returns the mean without the lowest and highest percent of values.

    The standard error comes from the winsorized values.
    """
    if not percent:
        return Measurement(float(values.mean()), standard_deviation(values) / len(values) ** 0.5)
    low = float(np.percentile(values, percent, method="lower"))
    high = float(np.percentile(values, 100 - percent, method="higher"))
    inner = values[(low <= values) & (values <= high)]
    spread = standard_deviation(values.clamp(low, high)) / (1 - 2 * percent / 100)
    return Measurement(float(inner.mean()), spread / len(values) ** 0.5)
