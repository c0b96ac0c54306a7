"""Drift (Karras et al., 2018): a penalty that keeps the scores of reals near 0.

It adds `weight · E D(x)²` to the discriminator's loss.

Without the penalty, a constant can be added to all scores of a Wasserstein critic.
"""

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.tasks.base import Terms

from .base import Trick


class Drift(Trick):
    works_on_slices = True

    def __init__(self, weight: float = 1e-3):
        super().__init__()
        if weight <= 0:
            raise ValueError(f"weight must be above 0, not {weight}")
        self.weight = weight

    def discriminator_terms(self, pair: AdversarialBatch) -> Terms:
        yield "drift", self.weight * pair.real_score.square().mean()
