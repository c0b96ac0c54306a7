"""Feature matching (Salimans et al., 2016): fakes should have the reals' mean discriminator features.

It takes the place of the adversarial term, as published; `adversarial` keeps a share of that term.
"""

from dataclasses import replace

from ..duel import Duel
from ..games.base import Terms
from ..losses.base import Loss
from .base import Trick


class FeatureMatching(Trick):
    phase = "loss"

    def __init__(self, weight: float = 1.0, adversarial: float = 0.0):
        super().__init__()
        if weight <= 0 or adversarial < 0:
            raise ValueError("weight must be above 0 and adversarial not below")
        self.weight, self.adversarial = weight, adversarial

    def loss(self, loss: Loss, duel: Duel) -> Loss:
        return replace(loss, generator_weight=self.adversarial * loss.generator_weight)

    def generator_terms(self, duel: Duel) -> Terms:
        gap = duel.fake_features.mean(0) - duel.real_features.mean(0).detach()
        yield "feature_matching", self.weight * gap.square().sum()
