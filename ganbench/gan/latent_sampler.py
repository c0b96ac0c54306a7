"""Latent sampler: images from given latents, for metrics along paths between latents."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Features = Callable[[Tensor], Tensor]  # images in [-1, 1], not rounded to bytes => [N, F]

Distance = Callable[[Tensor, Tensor], Tensor]  # two batches in [-1, 1] [N, C, H, W] => [N]


@dataclass(frozen=True, eq=False)
class LatentSampler:
    """The maps of a generator from latents to images.

    Every call draws the same noise inside layers. Latents are [N, L]. The first `gaussian` columns
    are normal numbers; the others are codes, and metrics take no path between two codes. Generators
    with styles also provide `mapping` and `synthesis`, the two halves of the generator.
    """

    latents: Callable[[int, torch.Generator], Tensor]
    gaussian: int
    # latents, labels or None => [N, C, H, W] in [-1, 1]
    images: Callable[[Tensor, Tensor | None], Tensor]
    device: torch.device
    mapping: Callable[[Tensor], Tensor] | None = None  # latents => w [N, W]
    synthesis: Callable[[Tensor], Tensor] | None = None  # w => images
    features: Features | None = None  # the extractor's, if it accepts images that are not rounded
    # loads LPIPS; raises MetricNotApplicable without its weights
    lpips: Callable[[], Distance] | None = None


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Interpolates along the arc from a to b (Shoemake, 1985): [N, L], t [N or 1, 1].

    The length changes from that of a to that of b. Parallel vectors are interpolated linearly.
    """
    cosine = (normalize_rows(a) * normalize_rows(b)).sum(1, keepdim=True)
    angle = cosine.clamp(-1, 1).acos()
    sine = angle.sin().clamp_min(1e-7)
    arc = ((1 - t) * angle).sin() / sine * a + (t * angle).sin() / sine * b
    return torch.where(cosine.abs() > 1 - 1e-7, lerp(a, b, t), arc)


def normalize_rows(x: Tensor) -> Tensor:
    """Scales each row to length 1: [N, L] => [N, L]."""
    return x / x.norm(dim=1, keepdim=True).clamp_min(1e-7)


def lerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Interpolates linearly from a to b: [N, L], t [N or 1, 1] => [N, L]."""
    return a + (b - a) * t
