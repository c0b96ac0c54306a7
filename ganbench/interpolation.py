"""Walks between latents: linear, and spherical (White, 2016), which keeps to where Gaussian latents lie."""

from collections.abc import Callable

import torch
from torch import Tensor

PARALLEL = 1e-4  # radians between directions that are told apart

Walk = Callable[[Tensor, Tensor, int], Tensor]


def linear(start: Tensor, end: Tensor, steps: int) -> Tensor:  # [N, D], [N, D] => [N, steps, D]
    """Straight ahead, both ends included: of Gaussian latents the middle is too short by a factor of √2."""
    share = torch.linspace(0, 1, steps, device=start.device)[:, None]  # [steps, 1]
    return (1 - share) * start[:, None] + share * end[:, None]


def spherical(start: Tensor, end: Tensor, steps: int) -> Tensor:  # [N, D], [N, D] => [N, steps, D]
    """Along the great circle of the two directions: sin((1-t)ω)/sin ω · start + sin(tω)/sin ω · end.

    Directions that are alike, or opposite so that no great circle is the one, are joined straight.
    """
    share = torch.linspace(0, 1, steps, dtype=torch.float64, device=start.device)[:, None]
    a, b = start.double()[:, None], end.double()[:, None]
    cosine = torch.cosine_similarity(a, b, dim=-1).clamp(-1, 1)[..., None]  # [N, 1, 1]
    angle = cosine.acos()
    weights = [((1 - share) * angle).sin() / angle.sin(), (share * angle).sin() / angle.sin()]
    along = weights[0] * a + weights[1] * b
    told_apart = angle.sin() > PARALLEL
    return torch.where(told_apart, along.to(start.dtype), linear(start, end, steps))


WALKS: dict[str, Walk] = {"spherical": spherical, "linear": linear}
