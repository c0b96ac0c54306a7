"""Gradient penalties: the base classes of R1, R2 (Mescheder et al., 2018) and others."""

from typing import Any, ClassVar

from torch import Tensor
from torch.nn.utils.parametrize import is_parametrized

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.tasks.base import Task, Terms
from ganbench.rng import StepContext

from .augmentation_base import refuse_non_images
from .base import Trick
from .compatibility import BATCH_COMPARING_TRICKS, refuse_batch_norm
from .finite_difference import (
    DEFAULT_EPSILON,
    FiniteDifference,
    Method,
    ScoredImages,
    draw_direction,
    estimate_squared_distance,
)


class InputGradientPenalty(Trick):
    """A penalty of the norm of the discriminator's gradient at its images.

    `method='exact'` differentiates the gradient, and so needs double backward.
    `method='finite_difference'` estimates the norm from the slope along one random direction for
    each image and step. `epsilon` is the length of the difference, and `share` the share of the
    batch that it is taken at.
    """

    neutral: ClassVar[dict[str, Any]] = {
        "method": "exact",
        "epsilon": DEFAULT_EPSILON,
        "share": 1.0,
    }
    name: ClassVar[str]

    def __init__(self, method: Method, epsilon: float, share: float):
        super().__init__()
        check_method(method, epsilon, share)
        self.method, self.difference = method, FiniteDifference(epsilon, share)
        self.needs_double_backward = method == "exact"
        self.is_parametrized = False  # until `setup`

    def incompatibility(self, config: BuildConfig) -> str | None:
        return refuse_batch_norm(self.name, config) or self.refuse_share(config)

    def refuse_share(self, config: BuildConfig) -> str | None:
        """Returns a reason if a share of the batch has other scores than the batch, or None."""
        comparing = [name for name in BATCH_COMPARING_TRICKS if name in config.tricks]
        if self.difference.share == 1 or not comparing:
            return None
        return (
            f"{self.name} of a share of the batch needs scores of one image each, and "
            f"{comparing[0]} compares the images of a batch; share=1 can be used"
        )

    def slicing_incompatibility(self, rows: int) -> str | None:
        if self.difference.share == 1:
            return None
        return f"{self.name} of a share of the batch would have other images; share=1 can be used"

    def setup(self, task: Task, config: BuildConfig) -> None:
        # Spectral norm iterates in every pass: two passes differ by more than the images do.
        self.is_parametrized = any(map(is_parametrized, task.discriminators.modules()))

    def squared_norms(self, pair: AdversarialBatch, images: ScoredImages) -> Tensor:
        """Returns the squared gradient norms of scores, or unbiased estimates: [M]."""
        if self.method == "exact":
            return pair.squared_gradient_norm(images.score, images.x)
        return self.slopes(pair, images).square()

    def squared_distances(
        self, pair: AdversarialBatch, images: ScoredImages, target: float, one_sided: bool = False
    ) -> Tensor:
        """Returns (norm - target)² for gradient norms of scores, or unbiased estimates: [M].

        `one_sided` counts only norms above the target; it needs exact gradients.
        """
        if self.method == "finite_difference":
            return estimate_squared_distance(self.slopes(pair, images), target)
        squared = pair.squared_gradient_norm(images.score, images.x)
        excess = squared.add(1e-12).sqrt() - target  # the root has no gradient at 0
        return (excess.relu() if one_sided else excess).square()

    def slopes(self, pair: AdversarialBatch, images: ScoredImages) -> Tensor:
        """Returns the slopes of scores along this step's random directions."""
        assert self.context
        direction = draw_direction(images.x, self.context.of(f"{pair.name}/direction").random)
        return self.difference.slopes(pair, images, direction, reuse=not self.is_parametrized)


def check_method(method: Method, epsilon: float, share: float) -> None:
    """Raises ValueError for settings of finite differences that are invalid or unused."""
    if epsilon <= 0 or not 0 < share <= 1:
        raise ValueError("epsilon must be above 0 and share lie in (0, 1]")
    if method == "exact" and (epsilon, share) != (DEFAULT_EPSILON, 1):
        raise ValueError("epsilon and share act only in method='finite_difference'; add it")


class ZeroCenteredPenalty(InputGradientPenalty):
    """R1 and R2 (Mescheder et al., 2018), which differ in the images of the gradient.

    `every` makes them lazy (Karras et al., 2020): they count `every` times as much in one of
    `every` steps. They act in all discriminator steps of that step, as a term of the same optimizer
    step. With a `side`, the weight is for images of that side, and is proportional to the number of
    pixels (Karras et al., 2020, "limited data"). The authors' heuristic divides by the batch too: its weight is
    0.0002 pixels / batch.
    """

    neutral: ClassVar[dict[str, Any]] = {"side": 0, **InputGradientPenalty.neutral}

    def __init__(
        self,
        weight: float = 10.0,
        every: int = 1,
        side: int = 0,
        method: Method = "exact",
        epsilon: float = 0.01,
        share: float = 1.0,
    ):
        super().__init__(method, epsilon, share)
        if weight <= 0 or every < 1 or side < 0:
            raise ValueError("weight must be above 0, every at least 1 and side not below 0")
        self.weight, self.every, self.side = weight, every, side

    def penalized_images(self, pair: AdversarialBatch) -> ScoredImages:
        """Returns the images at which the gradient is penalized, with their scores."""
        raise NotImplementedError

    def incompatibility(self, config: BuildConfig) -> str | None:
        if self.side and (points := refuse_non_images(f"{self.name} of a side", config)):
            return points
        return super().incompatibility(config)

    def graph_key(self, context: StepContext) -> bool:
        return context.step % self.every == 0

    def discriminator_terms(self, pair: AdversarialBatch) -> Terms:
        assert self.context
        if self.context.step % self.every == 0:
            squared = self.squared_norms(pair, self.penalized_images(pair))
            weight = self.every * self.weight_for_images(pair.real)
            yield self.name.lower(), weight / 2 * squared.mean()

    def weight_for_images(self, images: Tensor) -> float:
        """Returns the weight for images of this size."""
        return self.weight * images[0, 0].numel() / self.side**2 if self.side else self.weight
