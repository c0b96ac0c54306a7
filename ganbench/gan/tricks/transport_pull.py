"""Transport pull (Lin et al., 2025, "Adversarial Flow Models"): keeps fakes near latents.

It adds `λ · E(G(z) − z)²` to the generator's loss, with the mean over the batch and over the numbers
of an example. `λ` falls from `weight` to `end` along half a cosine over the budget.

Many maps from latents to data have the same distribution. The term prefers the one that moves the
latents least, as optimal transport does. It needs latents of the size of the data.
"""

from math import cos, pi, prod

import torch
from torch import Tensor

from ganbench.data.base import IMAGE
from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.tasks import TASKS
from ganbench.gan.tasks.base import Task, Terms
from ganbench.gan.tasks.unconditional import Unconditional
from ganbench.registry import parse_spec
from ganbench.rng import StepContext

from .base import Trick


class TransportPull(Trick):
    works_on_slices = True
    current: Tensor  # the weight of this step, which graphs read

    def __init__(self, weight: float = 0.2, end: float = 0.005):
        super().__init__()
        if weight <= 0 or end < 0:
            raise ValueError("weight must be above 0 and end not below")
        self.weight, self.end = weight, end

    def incompatibility(self, config: BuildConfig) -> str | None:
        if not issubclass(TASKS.load(parse_spec(config.task).name), Unconditional):
            return "transport pull moves latents to data, and this task translates images"
        shape = config.shapes.get(IMAGE, ())
        latents = config.network.count_latents(config.hyperparameters.latent, shape)
        if latents == prod(shape):
            return None
        return (
            f"transport pull compares data with their latents, and an example has {prod(shape):,} "
            f"numbers and {latents:,} latents"
        )

    def setup(self, task: Task, config: BuildConfig) -> None:
        self.size = prod(config.shapes[IMAGE])
        self.register_buffer("current", torch.zeros(()), persistent=False)

    def begin_step(self, context: StepContext) -> None:
        super().begin_step(context)
        self.current.fill_(self.weight_at(context.progress))

    def weight_at(self, progress: float) -> float:
        """Returns the weight at a fraction of the budget."""
        return self.end + (self.weight - self.end) * (1 + cos(pi * min(1.0, progress))) / 2

    def generator_terms(self, pair: AdversarialBatch) -> Terms:
        if pair.name == IMAGE:  # and not frames of the same clips
            latents = pair.source[:, : self.size].view_as(pair.fake)  # codes come after them
            yield "transport_pull", self.current * (pair.fake - latents).square().mean()
