"""Cells whose methods are checked: their trainings on the CPU, with a few steps."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from ganbench.data import DATA
from ganbench.data.base import BatchLoader, Split
from ganbench.evaluation.evaluator import evaluator_for
from ganbench.gan.build import Incompatible, build_training, check_recipe
from ganbench.gan.recipe import Recipe
from ganbench.gan.tricks import TRICKS
from ganbench.gan.tricks.base import Trick
from ganbench.registry import Spec
from ganbench.rng import RngStreams
from ganbench.training.budget import Budget
from ganbench.training.trainer import Trainer

CPU = torch.device("cpu")
MAX_BATCH = 8  # examples of a step: closed forms hold for any number
STEPS = 1000  # of the budget; no check takes so many, so schedules are at their beginning


@dataclass(frozen=True)
class CheckedCell:
    """A cell of a suite, by its label, recipe and data."""

    label: str
    recipe: Recipe
    data: str

    @cached_property
    def small_recipe(self) -> Recipe:
        """The recipe with a small batch, if its parts allow one."""
        batch = min(MAX_BATCH, self.recipe.hyperparameters.batch)
        hyperparameters = replace(self.recipe.hyperparameters, batch=batch)
        small = replace(self.recipe, hyperparameters=hyperparameters)
        try:
            check_recipe(small, self.data)
        except Incompatible:
            return self.recipe
        return small

    @property
    def split(self) -> Split:
        return evaluator_for(self.data, "cpu").split

    def make_trainer(self, seed: int = 0) -> Trainer:
        """Returns a new training of the cell."""
        streams = RngStreams(seed, CPU)
        setup = build_training(self.small_recipe, DATA.make(self.data), streams)
        loader = BatchLoader(self.split.train, setup.hyperparameters.batch, streams)
        return Trainer(setup, loader, streams, Budget("generator_turns", STEPS))

    @staticmethod
    def trick_of(trainer: Trainer, name: str) -> Trick:
        """Returns a trick of a training by its name."""
        return dict(trainer.trick.items())[name]

    def tricks(self) -> Iterator[Spec]:
        """Yields the tricks of the cell with all their settings."""
        yield from map(TRICKS.resolve, self.recipe.tricks)

    def settings_of(self, trick: str) -> dict[str, Any] | None:
        """Returns the settings of a trick, or None if the cell does not have it."""
        return next((dict(spec.settings) for spec in self.tricks() if spec.name == trick), None)
