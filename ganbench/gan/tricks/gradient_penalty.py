"""Gradient penalty (Gulrajani et al., 2017): gradients of norm 1 between reals and fakes.

It adds `weight · E(‖∇D(x̂)‖ − target)²` to the discriminator's loss, with `x̂ = x + t (G(z) − x)`
and `t` uniform in [0, 1].

`one_sided` does not penalize norms below the target. Each image has its own `t`, packed or not.
"""

import torch

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.tasks.base import Terms

from .base import Trick
from .compatibility import refuse_batch_norm


class GradientPenalty(Trick):
    def __init__(self, weight: float = 10.0, target: float = 1.0, one_sided: bool = False):
        super().__init__()
        if weight <= 0 or target < 0:
            raise ValueError("weight must be above 0 and target not below")
        self.weight, self.target, self.one_sided = weight, target, one_sided

    def incompatibility(self, config: BuildConfig) -> str | None:
        return refuse_batch_norm("gradient penalty", config)

    def discriminator_terms(self, pair: AdversarialBatch) -> Terms:
        assert self.context
        shape = (len(pair.real), *[1] * (pair.real.ndim - 1))
        random = self.context.of(pair.name).random
        mix = torch.rand(shape, generator=random, device=pair.real.device).to(pair.real.dtype)
        between = pair.real.lerp(pair.fake, mix)  # with the generator's graph, for unrolling
        squared = pair.squared_gradient_norm(
            pair.score(between, "gradient_penalty", pair.real_label), between
        )
        excess = squared.add(1e-12).sqrt() - self.target  # the root has no gradient at 0
        excess = excess.relu() if self.one_sided else excess
        yield "gradient_penalty", self.weight * excess.square().mean()
