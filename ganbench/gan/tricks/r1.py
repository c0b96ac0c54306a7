"""R1 (Mescheder et al., 2018): zero slope at the reals.

It adds `weight / 2 · E‖∇D(x)‖²` to the discriminator's side.
"""

from torch import Tensor

from ganbench.gan.adversarial_batch import Duel

from .penalty_base import ZeroSlope


class R1(ZeroSlope):
    name = "R1"

    def judged(self, duel: Duel) -> tuple[Tensor, Tensor]:
        return duel.real_score, duel.real
