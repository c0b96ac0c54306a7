"""Zero-centered gradient penalties: the base class of R1 and R2 (Mescheder et al., 2018)."""

from typing import Any, ClassVar

from torch import Tensor

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.tasks.base import Terms

from .augmentation_base import refuse_non_images
from .base import Trick
from .compatibility import refuse_batch_norm


class ZeroCenteredPenalty(Trick):
    """R1 and R2 (Mescheder et al., 2018), which differ in the images of the gradient.

    `every` makes them lazy (Karras et al., 2020): they count `every` times as much in one of
    `every` steps. They act in all discriminator steps of that step, as a term of the same optimizer
    step. With a `side`, the weight is for images of that side, and is proportional to the number of
    pixels (Karras et al., 2020, "limited data").
    """

    neutral: ClassVar[dict[str, Any]] = {"side": 0}
    name: ClassVar[str]

    def __init__(self, weight: float = 10.0, every: int = 1, side: int = 0):
        super().__init__()
        if weight <= 0 or every < 1 or side < 0:
            raise ValueError("weight must be above 0, every at least 1 and side not below 0")
        self.weight, self.every, self.side = weight, every, side

    def penalized_scores(self, pair: AdversarialBatch) -> tuple[Tensor, Tensor]:
        """Returns the scores, and the images that they were computed from."""
        raise NotImplementedError

    def incompatibility(self, config: BuildConfig) -> str | None:
        if self.side and (points := refuse_non_images(f"{self.name} of a side", config)):
            return points
        return refuse_batch_norm(self.name, config)

    def discriminator_terms(self, pair: AdversarialBatch) -> Terms:
        assert self.context
        if self.context.step % self.every == 0:
            squared = pair.squared_gradient_norm(*self.penalized_scores(pair))
            weight = self.every * self.weight_for_images(pair.real)
            yield self.name.lower(), weight / 2 * squared.mean()

    def weight_for_images(self, images: Tensor) -> float:
        """Returns the weight for images of this size."""
        return self.weight * images[0, 0].numel() / self.side**2 if self.side else self.weight
