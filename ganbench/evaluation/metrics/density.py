"""Density (Naeem et al., 2020): how many reals' balls hold a fake, as a share of k; it may exceed 1.

A real's ball reaches to its `k`-th nearest other real.
"""

from dataclasses import dataclass

from .base import Facts, Measurement, mean
from .feature_set import Sample
from .knn_manifold import Manifold
from .pairwise import InReals, Neighbours, told


@dataclass(frozen=True)
class Density(Manifold):
    transform = "none"

    k: int = 5

    def facts(self, fake: Sample, real: Sample) -> Facts:
        return Facts(reals=(Neighbours(self.k),), pairs=(InReals(self.k),))

    def measure(self, fake: Sample, real: Sample) -> Measurement:
        held = told(InReals(self.k), fake, real)["rows"]
        return mean(held.double() / self.k)

    def floor(self, real: Sample, count: int) -> float:
        return 1.0
