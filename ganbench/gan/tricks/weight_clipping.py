"""Weight clipping (Arjovsky et al., 2017): keeps the discriminator's weights in a box.

After each discriminator step `w ← min(limit, max(−limit, w))`.
"""

from collections.abc import Sequence

import torch

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.tasks.base import Task

from .base import Trick


class WeightClipping(Trick):
    works_on_slices = True
    phase = "projection"

    def __init__(self, limit: float = 0.01):
        super().__init__()
        if limit <= 0:
            raise ValueError(f"the limit must be above 0, not {limit}")
        self.limit = limit

    @torch.no_grad()
    def after_discriminator_step(self, task: Task, pairs: Sequence[AdversarialBatch]) -> None:
        for parameter in task.discriminators.parameters():
            parameter.clamp_(-self.limit, self.limit)
