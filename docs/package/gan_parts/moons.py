"""Moons (scikit-learn): points in the plane on two interleaving half circles."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from ganbench.extend import IMAGE, Data, Examples, Shape, Split

TRAIN, HELD_OUT = 4_000, 1_000


@dataclass(frozen=True)
class Moons(Data):
    std: float = 0.05
    shapes: Mapping[str, Shape] = field(init=False, default_factory=lambda: {IMAGE: (2,)})

    def __post_init__(self) -> None:
        if self.std <= 0:
            raise ValueError(f"std must be above 0, not {self.std}")

    def load(self) -> Split:
        train, held_out = self.draw(TRAIN, seed=0), self.draw(HELD_OUT, seed=1)
        return Split({IMAGE: train}, {IMAGE: held_out})

    def draw(self, count: int, seed: int) -> Examples:
        """Returns points [N, 2]; the same count and seed give the same points."""
        from sklearn.datasets import make_moons  # lists need no scikit-learn

        points, _ = make_moons(count, noise=self.std, random_state=seed)
        return Examples(torch.from_numpy(points).float())
