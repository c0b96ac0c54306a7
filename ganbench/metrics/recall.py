"""Recall (Kynkäänniemi et al., 2019): the share of reals that lie among the fakes."""

from .base import Facts, Measurement
from .gram import AmongFakes, Neighbours, told
from .manifold import Manifold
from .sample import Sample


class Recall(Manifold):
    version = 2  # 1 rounded distances as torch-fidelity does

    def facts(self, fake: Sample, real: Sample) -> Facts:
        return Facts(fakes=(Neighbours(self.k),), pairs=(AmongFakes(self.k),))

    def measure(self, fake: Sample, real: Sample) -> Measurement:
        held = told(AmongFakes(self.k), fake, real)["sum"] > 0
        return Measurement(float(held.double().mean()))
