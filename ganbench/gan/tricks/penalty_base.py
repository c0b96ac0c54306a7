"""What gradient penalties share: they ask for scores of one image each, and two of them for zero slope."""

from typing import Any, ClassVar

from torch import Tensor

from ganbench.gan.adversarial_batch import Duel
from ganbench.gan.build_config import Blueprint
from ganbench.gan.tasks.base import Terms

from .augmentation_base import objection_to_points
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
    turns of it, as a term of the same optimizer step. With a `side` the weight is that of images of so
    many pixels a side, and changes with their number, as Karras et al. (2020, "limited data") advise.
    """

    neutral: ClassVar[dict[str, Any]] = {"side": 0}
    name: ClassVar[str]

    def __init__(self, weight: float = 10.0, every: int = 1, side: int = 0):
        super().__init__()
        if weight <= 0 or every < 1 or side < 0:
            raise ValueError("weight must be above 0, every at least 1 and side not below 0")
        self.weight, self.every, self.side = weight, every, side

    def judged(self, duel: Duel) -> tuple[Tensor, Tensor]:
        """The scores, and what they were computed from."""
        raise NotImplementedError

    def objection(self, blueprint: Blueprint) -> str | None:
        if self.side and (points := objection_to_points(f"{self.name} of a side", blueprint)):
            return points
        return objection_to_batch_norm(self.name, blueprint)

    def discriminator_terms(self, duel: Duel) -> Terms:
        assert self.moment
        if self.moment.step % self.every == 0:
            squared = duel.squared_slope(*self.judged(duel))
            weight = self.every * self.weight_at(duel.real)
            yield self.name.lower(), weight / 2 * squared.mean()

    def weight_at(self, images: Tensor) -> float:
        """The weight for images of their size."""
        return self.weight * images[0, 0].numel() / self.side**2 if self.side else self.weight
