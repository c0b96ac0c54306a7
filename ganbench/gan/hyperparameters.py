"""Hyperparameters of training: batch size, optimizers, learning rates and their decay."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

MAX_WHOLE_NUMBERS = {"batch": 65_536, "latent": 65_536, "discriminator_turns": 1000}
MAX_LEARNING_RATE = 1000.0


@dataclass(frozen=True)
class Hyperparameters:
    """Batch size, number of latents, and the optimizers and step counts of both sides.

    One training step is `discriminator_turns` discriminator steps and then one generator step.
    `decay` is the fraction of the budget after which learning rates fall linearly to zero; 1 turns
    the decay off. Raises ValueError for a value out of range.
    """

    version: ClassVar[int] = 1
    neutral: ClassVar[dict[str, Any]] = {}

    batch: int = 64
    latent: int = 64
    discriminator_turns: int = 1
    optimizer: Literal["adam", "rmsprop"] = "adam"
    generator_lr: float = 2e-4
    discriminator_lr: float = 2e-4
    generator_betas: tuple[float, float] = (0.5, 0.999)
    discriminator_betas: tuple[float, float] = (0.5, 0.999)
    decay: float = 1.0

    def __post_init__(self) -> None:
        for name in ("generator_lr", "discriminator_lr", "decay"):
            # 1 and 1.0 have the same identity.
            object.__setattr__(self, name, float(getattr(self, name)))
        for name in ("generator_betas", "discriminator_betas"):
            first, second = getattr(self, name)
            object.__setattr__(self, name, (float(first), float(second)))
        for name, limit in MAX_WHOLE_NUMBERS.items():
            if getattr(self, name) < 1:
                raise ValueError(f"plan: {name} must be at least 1, not {getattr(self, name)}")
            if getattr(self, name) > limit:
                raise ValueError(
                    f"plan: {name} must be at most {limit:,}, not {getattr(self, name):,}"
                )
        for name in ("generator_lr", "discriminator_lr"):
            if not 0 < getattr(self, name) <= MAX_LEARNING_RATE:
                raise ValueError(
                    f"plan: {name} must be above 0 and at most {MAX_LEARNING_RATE:g}, "
                    f"not {getattr(self, name)}"
                )
        for betas in (self.generator_betas, self.discriminator_betas):
            if not all(0 <= beta < 1 for beta in betas):
                raise ValueError(f"plan: betas must lie in [0, 1), not {betas}")
        if not 0 <= self.decay <= 1:
            raise ValueError(f"plan: decay must lie in [0, 1], not {self.decay}")
        if self.optimizer not in ("adam", "rmsprop"):
            raise ValueError(f"plan: optimizer must be adam or rmsprop, not {self.optimizer!r}")

    def identity(self) -> dict[str, Any]:
        """Returns the settings that affect results, as plain data."""
        settings = {k: v for k, v in asdict(self).items() if self.neutral.get(k) != v}
        return {"version": self.version, **settings}

    def learning_rate_factor(self, progress: float) -> float:
        """Returns the factor on the learning rates, in [0, 1], at a fraction of the budget."""
        if progress < self.decay:
            return 1.0
        return max(0.0, (1 - progress) / (1 - self.decay)) if self.decay < 1 else 1.0
