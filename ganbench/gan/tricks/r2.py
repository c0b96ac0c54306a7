"""R2 (Mescheder et al., 2018): zero slope at the fakes.

It adds `weight / 2 · E‖∇D(G(z))‖²` to the discriminator's side.
"""

from torch import Tensor

from ganbench.gan.adversarial_batch import Duel

from .penalty_base import ZeroSlope


class R2(ZeroSlope):
    name = "R2"

    def judged(self, duel: Duel) -> tuple[Tensor, Tensor]:
        return duel.fake_score, duel.fake
