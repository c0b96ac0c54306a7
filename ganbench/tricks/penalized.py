"""What gradient penalties share: they ask for scores of one image each, and two of them for zero slope."""

from typing import ClassVar

from torch import Tensor

from ..blueprint import Blueprint
from ..duel import Duel
from ..games.base import Terms
from .base import Trick


def objection_to_batch_norm(penalty: str, blueprint: Blueprint) -> str | None:
    if blueprint.network.norm != "batch":
        return None
    return (
        f"{penalty} needs scores of one image each, and batch norm makes them depend on the batch"
    )


class ZeroSlope(Trick):
    """R1 and R2 (Mescheder et al., 2018), which differ in the images at which the slope is taken.

    `every` makes them lazy (Karras et al., 2020): so many times as strong in one of so many steps, all
    turns of it, as a term of the same optimizer step.
    """

    name: ClassVar[str]

    def __init__(self, weight: float = 10.0, every: int = 1):
        super().__init__()
        if weight <= 0 or every < 1:
            raise ValueError("weight must be above 0 and every at least 1")
        self.weight, self.every = weight, every

    def judged(self, duel: Duel) -> tuple[Tensor, Tensor]:
        """The scores, and what they were computed from."""
        raise NotImplementedError

    def objection(self, blueprint: Blueprint) -> str | None:
        return objection_to_batch_norm(self.name, blueprint)

    def discriminator_terms(self, duel: Duel) -> Terms:
        assert self.moment
        if self.moment.step % self.every == 0:
            squared = duel.squared_slope(*self.judged(duel))
            yield self.name.lower(), self.every * self.weight / 2 * squared.mean()
