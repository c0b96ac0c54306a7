"""Past discriminators (after Chintala et al., 2016, "How to train a GAN"): snapshots vote.

The generator's loss is the mean over the current discriminator and the last `keep` snapshots, one
taken every `every` steps. So fakes must also fool earlier discriminators. The authors swap an
earlier network in for a few steps instead.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.losses.base import Loss, WrappedLoss
from ganbench.gan.networks.discriminator import Discriminator
from ganbench.gan.tasks.base import Task
from ganbench.rng import StepContext

from .base import Trick


@dataclass(frozen=True, kw_only=True)
class AveragedVotes(WrappedLoss):
    """A loss with the generator's side averaged over several discriminators."""

    past: Sequence[AdversarialBatch]

    def generator_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        votes = [self.inner.generator_loss(fake, real)]
        for pair in self.past:
            votes += [
                self.inner.generator_loss(
                    pair.fake_score, real if real is None else pair.real_score
                )
            ]
        return torch.stack(votes).mean()


class PastDiscriminators(Trick):
    works_on_slices = True
    phase = "votes"

    def __init__(self, keep: int = 3, every: int = 500):
        super().__init__()
        if keep < 1 or every < 1:
            raise ValueError("keep and every must be at least 1")
        self.keep, self.every = keep, every

    def setup(self, task: Task, config: BuildConfig) -> None:
        copies = [deepcopy(task.discriminators).requires_grad_(False) for _ in range(self.keep)]
        self.snapshots = nn.ModuleList(copies)

    def graph_key(self, context: StepContext) -> tuple[int, int | None]:
        return min(context.step // self.every, self.keep), self.due_snapshot(context)

    def due_snapshot(self, context: StepContext) -> int | None:
        """Returns the number of the snapshot that this turn replaces, or None."""
        taken, left = divmod(context.step, self.every)
        is_due = taken and not left and context.turn == 0
        return (taken - 1) % self.keep if is_due else None

    def transform_loss(self, loss: Loss, pair: AdversarialBatch) -> Loss:
        assert self.context
        taken = self.context.step // self.every
        past = [
            replace(pair, discriminator=cast(Discriminator, snapshot[pair.name]))
            for snapshot in cast(Sequence[nn.ModuleDict], self.snapshots[:taken])
        ]
        return AveragedVotes(inner=loss, generator_weight=loss.generator_weight, past=past)

    def after_discriminator_step(self, task: Task, pairs: Sequence[AdversarialBatch]) -> None:
        assert self.context
        oldest = self.due_snapshot(self.context)
        if oldest is not None:
            self.snapshots[oldest].load_state_dict(task.discriminators.state_dict())
