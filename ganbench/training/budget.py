"""The training budget: real images, generator steps or seconds, the same for every arm."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from ganbench.gan.hyperparameters import Hyperparameters

Unit = Literal["images", "generator_turns", "seconds"]


@dataclass(frozen=True)
class Spent:
    """The budget that a training has used: real images, discriminator and generator steps, seconds.

    Images count in discriminator steps that are kept, not in those that a lookahead takes back.
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
    """How long an arm may train, in one unit, the same for every arm of a comparison."""

    unit: Unit
    amount: float

    def __post_init__(self) -> None:
        if not 0 <= self.amount < math.inf:
            raise ValueError(f"a budget of {self.amount} {self.unit} cannot be spent")

    def progress(self, spent: Spent) -> float:
        """The fraction that is used up, 1 when nothing is left."""
        if self.amount == 0:
            return 1.0
        return min(1.0, getattr(spent, self.unit) / self.amount)
