"""What precision, recall, density and coverage share: balls that reach an example's k-th neighbour."""

from dataclasses import dataclass
from typing import ClassVar

from .base import Metric, Transform, Unmeasurable
from .sample import Sample


@dataclass(frozen=True)
class Manifold(Metric):
    """A share, told by the k-th neighbours of one side."""

    direction = "higher"
    transform: ClassVar[Transform] = "logit"

    k: int = 3

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k must be at least 1, not {self.k}")

    def check(self, fake: Sample, real: Sample) -> None:
        super().check(fake, real)
        if min(len(fake), len(real)) <= self.k:
            raise Unmeasurable(f"neighbour {self.k} needs more than {self.k} examples of each side")
