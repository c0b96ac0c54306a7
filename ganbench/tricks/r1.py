"""R1 (Mescheder et al., 2018): zero slope at the reals.

`every` makes it lazy (Karras et al., 2020): so many times as strong in one of so many steps, all turns of
it, as a term of the same optimizer step.
"""

from ..blueprint import Blueprint
from ..duel import Duel
from ..games.base import Terms
from .base import Trick
from .penalized import objection_to_batch_norm


class R1(Trick):
    def __init__(self, weight: float = 10.0, every: int = 1):
        super().__init__()
        if weight <= 0 or every < 1:
            raise ValueError("weight must be above 0 and every at least 1")
        self.weight, self.every = weight, every

    def objection(self, blueprint: Blueprint) -> str | None:
        return objection_to_batch_norm("R1", blueprint)

    def discriminator_terms(self, duel: Duel) -> Terms:
        assert self.moment
        if self.moment.step % self.every == 0:
            squared = duel.squared_slope(duel.real_score, duel.real)
            yield "r1", self.every * self.weight / 2 * squared.mean()
