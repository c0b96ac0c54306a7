"""R2 (Mescheder et al., 2018): zero slope at the fakes.

It adds `weight / 2 · E‖∇D(G(z))‖²` to the discriminator's side.
"""

from torch import Tensor

from ganbench.gan.adversarial_batch import AdversarialBatch

from .penalty_base import ZeroCenteredPenalty


class R2(ZeroCenteredPenalty):
    name = "R2"

    def penalized_scores(self, pair: AdversarialBatch) -> tuple[Tensor, Tensor]:
        return pair.fake_score, pair.fake
