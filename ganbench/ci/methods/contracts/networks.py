"""The contract of networks and variants: train, resume, and draw weights from the seed."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from ganbench.experiments.watched_returns import name_first
from ganbench.gan.networks import NETWORKS
from ganbench.gan.recipe import Recipe
from ganbench.gan.variants import resolve_variant
from ganbench.training.trainer import Trainer

from .trainings import (
    SmallTraining,
    copy_weights,
    finiteness_faults,
    is_same,
    make_or_reason,
    resume_faults,
)

DATA_SETS = ("digits", "ring")  # that a recipe is tried with

Check = Callable[[SmallTraining], Iterable[str]]


def check_variant(text: str) -> Iterator[str]:
    """Yields the violations of the contract by a variant: it trains and resumes somewhere."""
    yield from check_recipe(text, resolve_variant(text), (step_faults, resume_faults))


def check_network(text: str) -> Iterator[str]:
    """Yields the violations of the contract by a network, and with labels if it declares them."""
    checks = (step_faults, resume_faults, draw_faults, gradient_faults)
    recipe = Recipe("A network.", NETWORKS.label(text))
    yield from check_recipe(text, recipe, checks)
    if vars(type(NETWORKS.make(text))).get("conditional"):
        yield from check_recipe(text, replace(recipe, task="conditional"), checks)


def check_recipe(text: str, recipe: Recipe, checks: Sequence[Check]) -> Iterator[str]:
    """Yields what the checks find in a training of a recipe, on the first data that it admits."""
    reasons = []
    for data in DATA_SETS:
        training = SmallTraining(text, data, recipe.loss, recipe.tricks, recipe)
        trainer, reason = make_or_reason(training)
        if trainer is not None:
            for check in checks:
                yield from check(training)
            return
        reasons.append(f"{data}: {reason}")
    yield f"it trains neither on digits nor on the ring: {'; '.join(reasons)}"


def step_faults(training: SmallTraining) -> Iterator[str]:
    yield from finiteness_faults(training, training.make())


def draw_faults(training: SmallTraining) -> Iterator[str]:
    """Yields a sentence if initial weights depend on more than the trial's seed."""
    weights = []
    for other_seed in (0, 1):
        np.random.seed(other_seed)  # which some libraries draw from
        torch.manual_seed(other_seed)
        weights.append(copy_weights(training.make().task))
    if not is_same(*weights):
        yield (
            f"its initial weights depend on more than the trial's seed ({training}): draw them "
            "with torch, and without a seed of your own"
        )


def gradient_faults(training: SmallTraining) -> Iterator[str]:
    """Yields a sentence for weights that a step leaves without a gradient."""
    trainer = training.make()
    trainer.train_step()
    for side in ("generators", "discriminators"):
        if names := names_without_gradient(trainer, side):
            weights = f"weights of its {side[:-1]} ({name_first(names)})"
            yield f"no score depends on {weights}: use or remove them"


def names_without_gradient(trainer: Trainer, side: str) -> list[str]:
    """Returns the names of parameters that training should change, and a step does not reach."""
    networks: nn.ModuleDict = getattr(trainer.task, side)
    return [
        name
        for network in networks.values()
        for name, parameter in network.named_parameters()
        if parameter.requires_grad and parameter.grad is None
    ]
