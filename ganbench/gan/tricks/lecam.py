"""LeCam (Tseng et al., 2021): scores stay near the recent mean score of the other side.

It adds `weight · (E|D(x) − a_fake|² + E|D(G(z)) − a_real|²)` to the discriminator's loss, as in the
paper.

The released code counts only reals above and fakes below their anchors. The term acts from the step
`start` on; until then the anchors are the last mean scores.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.batch_slices import mean_over_slices
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.tasks.base import Task, Terms
from ganbench.rng import StepContext

from .base import Trick


class LeCam(Trick):
    works_on_slices = True
    anchors: Tensor  # [discriminators, 2], moving averages of the mean scores of reals and fakes

    def __init__(self, weight: float = 0.3, decay: float = 0.99, start: int = 1000):
        super().__init__()
        if weight <= 0 or not 0 <= decay < 1:
            raise ValueError("weight must be above 0 and decay lie in [0, 1)")
        if start < 1:
            raise ValueError(
                "start must be at least 1: before the first scores there are no anchors"
            )
        self.weight, self.decay, self.start = weight, decay, start

    def setup(self, task: Task, config: BuildConfig) -> None:
        self.names = list(task.discriminators)
        self.register_buffer("anchors", torch.zeros(len(self.names), 2))

    def graph_key(self, context: StepContext) -> bool:
        return context.step >= self.start

    def discriminator_terms(self, pair: AdversarialBatch) -> Terms:
        assert self.context
        if self.context.step >= self.start:
            real, fake = self.anchors[self.names.index(pair.name)]
            gap = (pair.real_score - fake).square().mean() + (
                pair.fake_score - real
            ).square().mean()
            yield "lecam", self.weight * gap

    @torch.no_grad()
    def after_discriminator_step(self, task: Task, pairs: Sequence[AdversarialBatch]) -> None:
        assert self.context
        share = 1 - self.decay if self.context.step >= self.start else 1.0
        for pair in pairs:
            now = torch.stack([pair.real_score.mean(), pair.fake_score.mean()])
            self.anchors[self.names.index(pair.name)].lerp_(mean_over_slices(now), share)
