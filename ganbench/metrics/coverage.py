"""Coverage (Naeem et al., 2020): the share of reals whose ball holds a fake."""

import math
from dataclasses import dataclass

from .base import Facts, Measurement
from .gram import InReals, Neighbours, told
from .manifold import Manifold
from .sample import Sample


@dataclass(frozen=True)
class Coverage(Manifold):
    k: int = 5

    def facts(self, fake: Sample, real: Sample) -> Facts:
        return Facts(reals=(Neighbours(self.k),), pairs=(InReals(self.k),))

    def measure(self, fake: Sample, real: Sample) -> Measurement:
        held = told(InReals(self.k), fake, real)["sum"] > 0
        return Measurement(float(held.double().mean()))

    def floor(self, real: Sample, count: int) -> float:
        """For equal laws, whatever they are: the k nearest of a real are all reals, or else not."""
        n = len(real)
        return 1 - math.prod((n - i) / (count + n - i) for i in range(1, self.k + 1))
