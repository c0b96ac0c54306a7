"""Gradient penalty (Gulrajani et al., 2017): gradients of norm 1 between reals and fakes.

It adds `weight · E(‖∇D(x̂)‖ − target)²` to the discriminator's loss, with `x̂ = x + t (G(z) − x)`
and `t` uniform in [0, 1].

`one_sided` does not penalize norms below the target. Each image has its own `t`, packed or not.
`method='finite_difference'` estimates the penalty from the slope along a random direction, without
double backward. The estimate is unbiased, so a single one may be below 0.
"""

import torch

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.batch_slices import draw_rows
from ganbench.gan.tasks.base import Terms

from .finite_difference import Method, ScoredImages
from .penalty_base import InputGradientPenalty


class GradientPenalty(InputGradientPenalty):
    works_on_slices = True
    name = "gradient penalty"

    def __init__(
        self,
        weight: float = 10.0,
        target: float = 1.0,
        one_sided: bool = False,
        method: Method = "exact",
        epsilon: float = 0.01,
        share: float = 1.0,
    ):
        super().__init__(method, epsilon, share)
        if weight <= 0 or target < 0:
            raise ValueError("weight must be above 0 and target not below")
        if one_sided and method == "finite_difference":
            raise ValueError(
                "one_sided must be used with method='exact': it has no unbiased finite difference"
            )
        self.weight, self.target, self.one_sided = weight, target, one_sided

    def discriminator_terms(self, pair: AdversarialBatch) -> Terms:
        images = self.interpolated_images(pair)
        squared = self.squared_distances(pair, images, self.target, self.one_sided)
        yield "gradient_penalty", self.weight * squared.mean()

    def interpolated_images(self, pair: AdversarialBatch) -> ScoredImages:
        """Returns images at a random place between each real and its fake, with their scores."""
        assert self.context
        shape = (len(pair.real), *[1] * (pair.real.ndim - 1))
        random = self.context.of(pair.name).random
        mix = draw_rows(torch.rand, shape, generator=random, device=pair.real.device)
        mix = mix.to(pair.real.dtype)
        between = pair.real.lerp(pair.fake, mix)  # with the generator's graph, for unrolling
        role, label = "gradient_penalty", pair.real_label
        return ScoredImages(pair.score(between, role, label), between, role, label)
