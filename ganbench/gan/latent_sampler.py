"""A sampler makes images of latents, for metrics of a generator itself: on paths between two latents."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Features = Callable[[Tensor], Tensor]  # images in [-1, 1], which nobody has rounded => [N, F]

Distance = Callable[[Tensor, Tensor], Tensor]  # of images in [-1, 1] [N, C, H, W] to as many => [N]


@dataclass(frozen=True, eq=False)
class LatentSampler:
    """What a game gives of its generator. Each call draws the same noise inside of layers.

    Latents are [N, L], of which the first `gaussian` are normal numbers; what follows are codes, and no
    path leads between two codes. Generators that map latents to styles have both halves apart.
    """

    latents: Callable[[int, torch.Generator], Tensor]
    gaussian: int
    images: Callable[
        [Tensor, Tensor | None], Tensor
    ]  # latents, labels or None => [N, C, H, W] in [-1, 1]
    device: torch.device
    mapping: Callable[[Tensor], Tensor] | None = None  # latents => w [N, W]
    synthesis: Callable[[Tensor], Tensor] | None = None  # w => images
    features: Features | None = None  # the extractor's, if that sees images that are not rounded
    lpips: Callable[[], Distance] | None = (
        None  # loads it; raises MetricNotApplicable if its weights are not here
    )


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Along the arc from a to b, lengths going from one to the other (Shoemake, 1985): [N, L], t [N or 1, 1].

    Between parallel ones along the line.
    """
    cosine = (normalize_rows(a) * normalize_rows(b)).sum(1, keepdim=True)
    angle = cosine.clamp(-1, 1).acos()
    sine = angle.sin().clamp_min(1e-7)
    arc = ((1 - t) * angle).sin() / sine * a + (t * angle).sin() / sine * b
    return torch.where(cosine.abs() > 1 - 1e-7, lerp(a, b, t), arc)


def normalize_rows(x: Tensor) -> Tensor:
    return x / x.norm(dim=1, keepdim=True).clamp_min(1e-7)


def lerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    return a + (b - a) * t
