"""R2 (Mescheder et al., 2018): penalizes the discriminator's gradient at the fakes.

It adds `weight / 2 · E‖∇D(G(z))‖²` to the discriminator's loss.
"""

from torch import Tensor

from ganbench.gan.adversarial_batch import AdversarialBatch

from .penalty_base import ZeroCenteredPenalty


class R2(ZeroCenteredPenalty):
    name = "R2"

    def penalized_scores(self, pair: AdversarialBatch) -> tuple[Tensor, Tensor]:
        return pair.fake_score, pair.fake
