"""Drift (Karras et al., 2018): the scores of reals stay near 0, from which a critic's are free to drift.

It adds `weight · E D(x)²` to the discriminator's side.
"""

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.tasks.base import Terms

from .base import Trick


class Drift(Trick):
    def __init__(self, weight: float = 1e-3):
        super().__init__()
        if weight <= 0:
            raise ValueError(f"weight must be above 0, not {weight}")
        self.weight = weight

    def discriminator_terms(self, pair: AdversarialBatch) -> Terms:
        yield "drift", self.weight * pair.real_score.square().mean()
