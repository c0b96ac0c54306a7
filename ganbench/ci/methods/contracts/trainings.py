"""Small trainings in which the contracts of parts are checked."""

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.ci.methods.cells import CPU
from ganbench.data import DATA
from ganbench.data.base import BatchLoader
from ganbench.evaluation.evaluator import evaluator_for
from ganbench.experiments.plan_names import join_names
from ganbench.gan.build import Incompatible, build_training
from ganbench.gan.hyperparameters import Hyperparameters
from ganbench.gan.recipe import Recipe
from ganbench.gan.variants import resolve_variant
from ganbench.rng import RngStreams
from ganbench.training.budget import Budget
from ganbench.training.trainer import Diverged, Trainer

BATCH, LATENT, STEPS = 8, 4, 8
State = dict[str, Tensor]


@dataclass(frozen=True)
class SmallTraining:
    """A training of a few steps: variant, data, loss and tricks."""

    variant: str
    data: str = "digits"
    loss: str = "non_saturating"
    tricks: tuple[str, ...] = ()
    recipe: Recipe | None = None  # of a network; None: the variant's

    def __str__(self) -> str:
        return join_names([self.data, self.variant, self.loss, *self.tricks])

    def make(self, seed: int = 0) -> Trainer:
        """Returns the training; raises Incompatible."""
        plan = Hyperparameters(batch=BATCH, latent=LATENT)
        recipe = replace(
            self.recipe or resolve_variant(self.variant),
            loss=self.loss,
            tricks=self.tricks,
            hyperparameters=plan,
        )
        streams = RngStreams(seed, CPU)
        setup = build_training(recipe, DATA.make(self.data), streams)
        loader = BatchLoader(evaluator_for(self.data, "cpu").split.train, BATCH, streams)
        return Trainer(setup, loader, streams, Budget("generator_turns", STEPS))


NETWORKS = (
    ("gan(width=8)", "digits"),
    ("dcgan(width=4)", "digits"),
    ("dcgan(width=4, norm='layer')", "digits"),  # penalties are incompatible with batch norm
    ("gan2d(width=8)", "ring"),
)


def train(trainer: Trainer, steps: int) -> list[dict[str, float]]:
    """Trains, and returns the terms of each step; raises Diverged."""
    logs = []
    for _ in range(steps):
        trainer.train_step()
        logs.append(trainer.flush())
    return logs


def make_or_reason(training: SmallTraining) -> tuple[Trainer | None, str]:
    """Returns a training, or None with the reason why it is incompatible."""
    try:
        return training.make(), ""
    except Incompatible as reason:
        return None, str(reason)


def copy_weights(module: nn.Module) -> State:
    return {name: value.clone() for name, value in module.state_dict().items()}


def is_same(one: Any, other: Any) -> bool:
    """Returns whether two states are equal bit for bit."""
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(is_same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(is_same, one, other))
    return bool(one == other)


def through_a_file(state: Any) -> Any:
    """Saves a state and loads it again, as a checkpoint is."""
    content = io.BytesIO()
    torch.save(state, content)
    content.seek(0)
    return torch.load(content, weights_only=True)


def resume_faults(training: SmallTraining) -> Iterator[str]:
    """Yields a sentence if a training from a checkpoint is not that without a break."""
    unbroken = training.make()
    train(unbroken, 2)
    state = through_a_file(unbroken.state_dict())
    logs = train(unbroken, 2)
    torch.manual_seed(999)  # as in another process
    resumed = training.make()
    resumed.load_state_dict(state)
    if train(resumed, 2) != logs or not is_same(
        copy_weights(unbroken.task), copy_weights(resumed.task)
    ):
        yield (
            f"a training resumed from its checkpoint differs ({training}). State that outlives a "
            "step must be a buffer, and draws come from the part's own random stream"
        )


def finiteness_faults(training: SmallTraining, trainer: Trainer) -> Iterator[str]:
    """Trains two steps, and yields a sentence if terms or weights are not finite."""
    try:
        train(trainer, 2)
    except Diverged as error:
        yield f"the terms of a step are not finite ({training}): {error}"
        return
    if not all(value.isfinite().all() for value in trainer.task.state_dict().values()):
        yield f"weights are not finite after two steps ({training})"


def is_finite(*values: Tensor) -> bool:
    return all(math.isfinite(value) for v in values for value in v.flatten().tolist())
