"""The training budget in real images, generator steps or seconds, equal for every arm."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from ganbench.gan.hyperparameters import Hyperparameters

Unit = Literal["images", "generator_turns", "seconds"]


@dataclass(frozen=True)
class Spent:
    """The used budget: real images, discriminator and generator steps, seconds.

    Images count for discriminator steps that are kept, not for steps that a lookahead reverts.
    """

    images: int = 0
    discriminator_turns: int = 0
    generator_turns: int = 0
    seconds: float = 0.0

    def after_step(self, hyperparameters: Hyperparameters) -> "Spent":
        """Returns the budget used after one more training step."""
        turns = hyperparameters.discriminator_turns
        return replace(
            self,
            images=self.images + turns * hyperparameters.batch,
            discriminator_turns=self.discriminator_turns + turns,
            generator_turns=self.generator_turns + 1,
        )


@dataclass(frozen=True)
class Budget:
    """The maximal length of a training, in one unit; equal for every arm of a comparison."""

    unit: Unit
    amount: float

    def __post_init__(self) -> None:
        if not 0 <= self.amount < math.inf:
            raise ValueError(
                f"a budget of {self.amount} {self.unit} cannot be spent: it must be finite and at least 0"
            )

    def progress(self, spent: Spent) -> float:
        """Returns the used fraction of the budget in [0, 1]."""
        if self.amount == 0:
            return 1.0
        return min(1.0, getattr(spent, self.unit) / self.amount)
