"""EMA (Yazici et al., 2019): samples come from a moving average of the generators.

After each generator step `θ̄ ← decay · θ̄ + (1 − decay) · θ`.

With a `ramp` the average forgets faster at first: its half-life is at most that share of the steps
so far (Karras et al., 2020, use 0.05). So the initial weights soon lose their influence.

The average has its own buffers, such as batch norm's statistics, and updates them on the same
latents. The generator's statistics do not fit its average.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.tasks.base import Task
from ganbench.rng import StepContext

from .base import Trick


class EMA(Trick):
    works_on_slices = True
    version = 2
    phase = "averaging"
    share: Tensor  # of the current weights in the average, if it changes with the steps
    neutral: ClassVar[dict[str, Any]] = {"ramp": 0.0}

    def __init__(self, decay: float = 0.999, ramp: float = 0.0):
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"decay must lie in [0, 1), not {decay}")
        if not 0 <= ramp <= 1:
            raise ValueError(f"ramp must lie in [0, 1], not {ramp}")
        self.decay, self.ramp = decay, ramp

    def setup(self, task: Task, config: BuildConfig) -> None:
        self.average = deepcopy(task.generators).requires_grad_(False)
        self.register_buffer("share", torch.zeros(()), persistent=False)

    def begin_step(self, context: StepContext) -> None:
        super().begin_step(context)
        if self.ramp:
            self.share.fill_(1 - self.effective_decay(context.step))

    def effective_decay(self, step: int) -> float:
        """Returns the share of the average that remains after a step."""
        if not self.ramp:
            return self.decay
        half_life = self.ramp * (step + 1)  # in steps
        return min(self.decay, 0.5 ** (1 / half_life))

    @torch.no_grad()
    def after_generator_step(self, task: Task, pairs: Sequence[AdversarialBatch]) -> None:
        average, now = self.average, task.generators
        for mean, parameter in zip(average.parameters(), now.parameters(), strict=True):
            mean.lerp_(parameter, self.share if self.ramp else 1 - self.decay)
        for mine, plain in zip(average.modules(), now.modules(), strict=True):
            if type(plain).get_extra_state is not nn.Module.get_extra_state:
                mine.set_extra_state(plain.get_extra_state())  # the level of a network that grows
        if any(True for _ in average.buffers()):
            for pair in (pair for pair in pairs if not pair.shares_generator):
                replace(pair, generator=average[pair.generator_name]).generate(pair.source)

    def transform_sampling_generators(self, generators: nn.ModuleDict) -> nn.ModuleDict:
        return self.average
