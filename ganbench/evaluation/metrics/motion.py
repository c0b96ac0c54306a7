"""Motion in clips: centres of brightness, and the nearest lawful paths."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ganbench.data.bouncing import BouncingLaw

from .base import MetricNotApplicable
from .feature_set import FeatureSet

MAX_CLIPS_PER_FIT = 500  # that are compared with all paths at once


@dataclass(frozen=True, eq=False)
class LawfulPaths:
    """The direction, the speed and the distance of the nearest path of each clip: [N] each."""

    direction: Tensor
    speed: Tensor  # pixels per frame
    distance: Tensor  # the root mean square over frames, in pixels: float64 [N]


def centres_of_brightness(clips: Tensor) -> Tensor:
    """Returns row and column of the centre in each frame: uint8 [N, C, T, H, W] => [N, T, 2].

    A black frame has its centre in the middle.
    """
    mass = clips.double().mean(1)
    total = mass.sum((2, 3)).clamp(min=1e-9)
    places = []
    for axis, other in ((2, 3), (3, 2)):
        line = torch.arange(mass.shape[axis], dtype=mass.dtype, device=mass.device)
        middle = line.mean()
        places.append((mass.sum(other) * (line - middle)).sum(2) / total + middle)
    return torch.stack(places, 2)


def paths_of(sample: FeatureSet, law: BouncingLaw) -> LawfulPaths:
    """Returns the nearest lawful path of each clip, with the sample's cache."""
    clips = sample.images
    assert clips is not None

    def make() -> dict[str, Tensor]:
        parts = [
            vars(nearest_paths(centres_of_brightness(part), law))
            for part in clips.split(MAX_CLIPS_PER_FIT)
        ]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    return LawfulPaths(**sample.cached(f"lawful paths of {law}", make))


def nearest_paths(centres: Tensor, law: BouncingLaw) -> LawfulPaths:
    """Returns the lawful path nearest to each clip's centres [N, T, 2], by least squares.

    A centre may lie anywhere in the moving thing, so paths are compared without their means.
    """
    if centres.shape[1] != law.frames:
        raise MetricNotApplicable(
            f"the law is known for {law.frames} frames, and clips have {centres.shape[1]}"
        )
    moved = centres - centres.mean(1, keepdim=True)
    paths = law.paths().to(centres)
    first_steps = (paths[:, 1] - paths[:, 0]).repeat(2)
    paths = paths - paths.mean(1, keepdim=True)
    signed = torch.cat([paths, -paths])  # right or down, then left or up
    still = moved.square().mean(1)  # [N, 2]
    along = torch.stack(
        [(moved[:, None, :, axis] - signed).square().mean(2) for axis in (1, 0)], 1
    )  # [N, horizontal or vertical, paths]
    squared = (along + still[:, :, None]).flatten(1)
    least, chosen = squared.min(1)
    axis, path = chosen // len(signed), chosen % len(signed)
    direction = 2 * axis + (path >= len(paths))
    return LawfulPaths(direction, first_steps[path], least.clamp(min=0).sqrt())
