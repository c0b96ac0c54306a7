"""Comparisons of fakes with their targets: of images, and of the new frames of clips.

A source with fewer frames than its fake gives the first frames, and the others are new. All other
sources give no frames. Each new frame is compared with that of the target, and a clip counts as the
mean over its new frames.

Baselines can be compared with the targets instead of fakes:

- `last_frame`: the last given frame, repeated
- `motion`, `content`: the clip that gives the motion, or the clip that gives the content
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from ganbench.data.modality import CLIPS, frames_of, modality_of

from .base import Measurement, Metric, MetricNotApplicable, mean_measurement
from .differences import MAX_PIXELS_AT_ONCE, mean_over_pairs
from .feature_set import FeatureSet

Baseline = Literal["none", "last_frame", "motion", "content"]
CompareImages = Callable[[Tensor, Tensor], Tensor]  # [n, C, H, W] twice => [n]


@dataclass(frozen=True)
class TargetMetric(Metric):
    """The base class of means over comparisons with targets.

    `step` is the number of a new frame, from 1, and 0 for the mean over all of them. A `baseline` is
    compared instead of the fakes.
    """

    neutral: ClassVar[dict[str, Any]] = {"baseline": "none", "step": 0}
    needs = ("features", "truth")

    step: int = 0
    baseline: Baseline = "none"

    def __post_init__(self) -> None:
        if self.step < 0:
            raise ValueError(f"step must be at least 1, or 0 for the mean, not {self.step}")

    def compare(self, x: Tensor, y: Tensor) -> Tensor:
        """Returns one number for each pair of images in 0 to 255: [n, C, H, W] twice => [n]."""
        raise NotImplementedError

    def compute(self, fake: FeatureSet, real: FeatureSet) -> Measurement:
        assert fake.images is not None
        assert fake.truth is not None
        if modality_of(fake.images) is CLIPS:
            compared = compared_clips(fake, self.baseline)
            frames = new_frames(fake, self.step)
            return mean_over_frames(compared[:, :, frames], fake.truth[:, :, frames], self.compare)
        if self.step or self.baseline != "none":
            raise MetricNotApplicable("steps and baselines are those of clips, not of images")
        return mean_over_pairs(fake.images, fake.truth, self.compare)


def new_frames(fake: FeatureSet, step: int) -> slice:
    """Returns the places of the new frames, or of the one at a step."""
    assert fake.images is not None
    given, frames = count_given_frames(fake), fake.images.shape[2]
    if given + step > frames:
        raise MetricNotApplicable(
            f"clips have {frames - given} new frames, and this is the error of frame {step}"
        )
    return slice(given + step - 1, given + step) if step else slice(given, frames)


def count_given_frames(fake: FeatureSet) -> int:
    """Returns the number of frames that begin a source and its fake alike."""
    assert fake.images is not None
    given = 0 if fake.source is None else fake.source.shape[2]
    return given if given < fake.images.shape[2] else 0


def compared_clips(fake: FeatureSet, baseline: Baseline) -> Tensor:
    """Returns the fakes, or the clips of a baseline."""
    assert fake.images is not None
    if baseline == "none":
        return fake.images
    if baseline == "last_frame":
        return repeat_last_frame(fake)
    motion, content = split_sources(fake)
    return motion if baseline == "motion" else content


def repeat_last_frame(fake: FeatureSet) -> Tensor:
    """Returns the given frames with their last one repeated up to the length of the fakes."""
    assert fake.images is not None
    if not (given := count_given_frames(fake)):
        raise MetricNotApplicable("needs the frames that a clip begins with, and none are given")
    assert fake.source is not None
    rest = fake.images.shape[2] - given
    return torch.cat([fake.source, fake.source[:, :, -1:].expand(-1, -1, rest, -1, -1)], 2)


def split_sources(fake: FeatureSet) -> tuple[Tensor, Tensor]:
    """Returns the clips that give the motion and the content."""
    assert fake.images is not None
    if fake.source is None or fake.source.shape[2] != 2 * fake.images.shape[2]:
        raise MetricNotApplicable("needs one clip for motion and one for content as the source")
    motion, content = fake.source.chunk(2, 2)
    return motion, content


def mean_over_frames(x: Tensor, y: Tensor, compare: CompareImages) -> Measurement:
    """Returns the mean over clips [N, C, T, H, W] of the mean over their frames."""
    count = max(1, MAX_PIXELS_AT_ONCE // x[0].numel())
    parts = [
        compare(frames_of(a).double(), frames_of(b).double()).unflatten(0, (len(a), -1)).mean(1)
        for a, b in zip(x.split(count), y.to(x.device).split(count), strict=True)
    ]
    return mean_measurement(torch.cat(parts))
