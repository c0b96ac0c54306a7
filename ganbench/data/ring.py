"""Ring (Metz et al., 2017; protocol of Lin et al., 2018): 8 Gaussians on a circle.

Their standard deviation is 0.01 and the radius 1.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch

from .base import IMAGE, Data, Shape, Split, split_mixture
from .point_limits import check_point_settings

TRAIN, HELD_OUT = 100_000, 2_500


@dataclass(frozen=True)
class Ring(Data):
    """Points [N, 2] without labels. The known mixture determines the mode of each point."""

    reference: ClassVar[int] = HELD_OUT
    watch: ClassVar[tuple[str, ...]] = ("modes",)

    modes: int = 8
    radius: float = 1.0
    std: float = 0.01
    shapes: Mapping[str, Shape] = field(init=False, default_factory=lambda: {IMAGE: (2,)})

    def __post_init__(self) -> None:
        if self.modes < 1 or self.std <= 0:
            raise ValueError("ring needs at least one mode and std above 0")
        check_point_settings(modes=self.modes, scales=(self.radius, self.std))

    def load(self) -> Split:
        angle = 2 * math.pi * torch.arange(self.modes, dtype=torch.float64) / self.modes
        centres = self.radius * torch.stack([angle.cos(), angle.sin()], 1)
        return split_mixture(centres, self.std, TRAIN, HELD_OUT)
