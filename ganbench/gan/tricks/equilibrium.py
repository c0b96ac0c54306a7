"""Boundary equilibrium (Berthelot et al., 2017): a weight balances fakes against reals.

Scores are negative reconstruction errors, so BEGAN's losses are Wasserstein with a weight on the
fakes. The weight starts at 0, moves by rate * (gamma * error of reals - error of fakes) and stays
in [0, 1]. So the error of fakes stays at the share `gamma` of the error of reals.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.batch_slices import mean_over_slices
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.losses.base import Loss
from ganbench.gan.losses.wasserstein import Wasserstein
from ganbench.gan.tasks.base import Task

from .base import Trick


class Equilibrium(Trick):
    works_on_slices = True
    phase = "loss"

    def __init__(self, gamma: float = 0.75, rate: float = 1e-3):
        super().__init__()
        if not 0 < gamma <= 1 or rate <= 0:
            raise ValueError("gamma must lie in (0, 1] and rate be above 0")
        self.gamma, self.rate = gamma, rate

    def incompatibility(self, config: BuildConfig) -> str | None:
        if not config.network.energy:
            return "equilibrium balances reconstruction errors, and this discriminator has none"
        if not isinstance(config.loss, Wasserstein):
            return "equilibrium weights the fakes of the wasserstein loss, and this is another loss"
        return None

    def setup(self, task: Task, config: BuildConfig) -> None:
        zeros = {
            name: nn.Parameter(torch.zeros(()), requires_grad=False) for name in task.discriminators
        }
        self.weights = nn.ParameterDict(zeros)

    def transform_loss(self, loss: Loss, pair: AdversarialBatch) -> Loss:
        assert isinstance(loss, Wasserstein)
        return replace(loss, fake_weight=self.weights[pair.name].clone())

    @torch.no_grad()
    def after_discriminator_step(self, task: Task, pairs: Sequence[AdversarialBatch]) -> None:
        for pair in pairs:
            scores = (pair.real_score, pair.fake_score)
            real, fake = (-mean_over_slices(score.mean()) for score in scores)
            weight = self.weights[pair.name]
            weight.add_(self.rate * (self.gamma * real - fake)).clamp_(0, 1)
