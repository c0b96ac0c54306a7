"""R1 (Mescheder et al., 2018): penalizes the discriminator's gradient at the reals.

It adds `weight / 2 · E‖∇D(x)‖²` to the discriminator's loss.
"""

from torch import Tensor

from ganbench.gan.adversarial_batch import AdversarialBatch

from .penalty_base import ZeroCenteredPenalty


class R1(ZeroCenteredPenalty):
    name = "R1"

    def penalized_scores(self, pair: AdversarialBatch) -> tuple[Tensor, Tensor]:
        return pair.real_score, pair.real
