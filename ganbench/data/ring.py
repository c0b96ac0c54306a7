"""Ring (Metz et al., 2017; protocol of Lin et al., 2018): Gaussians of deviation 0.01 on a circle of radius 1."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch

from .base import IMAGE, Data, Examples, Mixture, Shape, Split

TRAIN, HELD_OUT = 100_000, 2_500
DRAW_SEED = 2017


@dataclass(frozen=True)
class Ring(Data):
    """Points of the plane, without labels: the mixture itself tells which mode a point belongs to."""

    reference: ClassVar[int] = HELD_OUT

    modes: int = 8
    radius: float = 1.0
    std: float = 0.01
    shapes: Mapping[str, Shape] = field(init=False, default_factory=lambda: {IMAGE: (2,)})

    def __post_init__(self) -> None:
        if self.modes < 1 or self.std <= 0:
            raise ValueError("ring needs at least one mode and a deviation above 0")

    def load(self) -> Split:
        angle = 2 * math.pi * torch.arange(self.modes, dtype=torch.float64) / self.modes
        centres = self.radius * torch.stack([angle.cos(), angle.sin()], 1)
        train, held_out = drawn(centres, self.std, TRAIN), drawn(centres, self.std, HELD_OUT, 1)
        return Split({IMAGE: train}, {IMAGE: held_out}, Mixture(centres.float(), self.std))


def drawn(centres: torch.Tensor, std: float, count: int, stream: int = 0) -> Examples:
    """Points of the mixture, each mode equally likely, from a generator of their own."""
    random = np.random.default_rng([DRAW_SEED, stream])
    mode = random.integers(len(centres), size=count)
    noise = random.standard_normal((count, centres.shape[1]))
    return Examples((centres[mode] + std * torch.from_numpy(noise)).float())
