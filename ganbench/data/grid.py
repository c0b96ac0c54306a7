"""Grid (Srivastava et al., 2017; protocol of Lin et al., 2018): 25 Gaussians in a square.

Their standard deviation is 0.05 and their spacing 2.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch

from .base import IMAGE, Data, Shape, Split, split_mixture
from .point_limits import check_point_settings

TRAIN, HELD_OUT = 100_000, 2_500


@dataclass(frozen=True)
class Grid(Data):
    """Points [N, 2] without labels, from `side` x `side` modes centred at the origin."""

    reference: ClassVar[int] = HELD_OUT
    watch: ClassVar[tuple[str, ...]] = ("modes",)

    side: int = 5
    spacing: float = 2.0
    std: float = 0.05
    shapes: Mapping[str, Shape] = field(init=False, default_factory=lambda: {IMAGE: (2,)})

    def __post_init__(self) -> None:
        if self.side < 1 or self.spacing <= 0 or self.std <= 0:
            raise ValueError("grid needs a side of at least 1, and spacing and std above 0")
        check_point_settings(modes=self.side**2, scales=(self.spacing, self.std))

    def load(self) -> Split:
        line = self.spacing * (torch.arange(self.side, dtype=torch.float64) - (self.side - 1) / 2)
        return split_mixture(torch.cartesian_prod(line, line), self.std, TRAIN, HELD_OUT)
