"""DRAGAN (Kodali et al., 2017): gradients of norm 1 near the reals.

It adds `weight · E(‖∇D(x + t · spread · std(x) · u)‖ − 1)²` to the discriminator's loss, with `t`
and `u` uniform in [0, 1].

Points near a real differ from it by up to `spread` deviations of the batch in every pixel. As in
the authors' code, each example has one `t`.
"""

import torch

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.tasks.base import Terms

from .base import Trick
from .compatibility import refuse_batch_norm


class DRAGAN(Trick):
    def __init__(self, weight: float = 10.0, spread: float = 0.5):
        super().__init__()
        if weight <= 0 or spread <= 0:
            raise ValueError("weight and spread must be above 0")
        self.weight, self.spread = weight, spread

    def incompatibility(self, config: BuildConfig) -> str | None:
        return refuse_batch_norm("DRAGAN", config)

    def discriminator_terms(self, pair: AdversarialBatch) -> Terms:
        assert self.context
        real, random = pair.real.detach(), self.context.of(pair.name).random
        step = torch.rand((len(real), *[1] * (real.ndim - 1)), generator=random, device=real.device)
        noise = torch.rand(real.shape, generator=random, device=real.device)
        near = (real + step * self.spread * real.std() * noise).requires_grad_()
        squared = pair.squared_gradient_norm(pair.score(near, "dragan", pair.real_label), near)
        slope = squared.add(1e-12).sqrt()  # the root has no gradient at 0
        yield "dragan", self.weight * (slope - 1).square().mean()
