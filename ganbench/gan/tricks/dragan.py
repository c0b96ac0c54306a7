"""DRAGAN (Kodali et al., 2017): gradients of norm 1 near the reals.

It adds `weight · E(‖∇D(x + t · spread · std(x) · u)‖ − 1)²` to the discriminator's loss, with `t`
and `u` uniform in [0, 1].

Points near a real differ from it by up to `spread` deviations of the batch in every pixel. As in
the authors' code, each example has one `t`. `method='finite_difference'` estimates the penalty
from the slope along a random direction, without double backward. The estimate is unbiased, so a
single one may be below 0.
"""

import torch

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.batch_slices import draw_rows, gather_rows
from ganbench.gan.tasks.base import Terms

from .finite_difference import Method, ScoredImages
from .penalty_base import InputGradientPenalty


class DRAGAN(InputGradientPenalty):
    works_on_slices = True
    name = "DRAGAN"

    def __init__(
        self,
        weight: float = 10.0,
        spread: float = 0.5,
        method: Method = "exact",
        epsilon: float = 0.01,
        share: float = 1.0,
    ):
        super().__init__(method, epsilon, share)
        if weight <= 0 or spread <= 0:
            raise ValueError("weight and spread must be above 0")
        self.weight, self.spread = weight, spread

    def discriminator_terms(self, pair: AdversarialBatch) -> Terms:
        squared = self.squared_distances(pair, self.images_near_reals(pair), target=1.0)
        yield "dragan", self.weight * squared.mean()

    def images_near_reals(self, pair: AdversarialBatch) -> ScoredImages:
        """Returns a random image near each real, with its score."""
        assert self.context
        real, random = pair.real.detach(), self.context.of(pair.name).random
        size, device = (len(real), *[1] * (real.ndim - 1)), real.device
        step = draw_rows(torch.rand, size, generator=random, device=device)
        noise = draw_rows(torch.rand, real.shape, generator=random, device=device)
        deviation = gather_rows(real).std()
        near = (real + step * self.spread * deviation * noise).requires_grad_()
        role, label = "dragan", pair.real_label
        return ScoredImages(pair.score(near, role, label), near, role, label)
