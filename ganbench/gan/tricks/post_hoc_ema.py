"""Post-hoc EMA (Karras et al., 2024): averages of any length, from one training.

Samples come from `θ̄_T = ∑ w_t θ_t` with weights that grow as a power of the step, `w_t ∝ t^γ`. Their
`length` is the standard deviation of `t` under these weights, as a share of the steps `T`:

    length² = (γ + 1) / ((γ + 2)² (γ + 3))

The training updates two such averages, of the lengths 0.05 and 0.1, by

    θ̄ ← β θ̄ + (1 − β) θ,  β = (1 − 1 / t)^(γ + 1)

and keeps `snapshots` copies of both over the budget. Another length is the linear combination of
the copies whose weights over the steps are nearest to those wanted, by least squares. `reconstruct`
gives any length, and `length` is that of the samples. With 8 snapshots of a random walk, averages
are known to 5 % of their distance to the last weights, and to 1 % for lengths from 0.05 to 0.2.

The combination has no statistics of batch norm, so generators with batch norm are refused.
"""

from collections.abc import Hashable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.tasks import TASKS
from ganbench.gan.tasks.base import Task
from ganbench.gan.tasks.unconditional import Unconditional
from ganbench.registry import parse_spec
from ganbench.rng import StepContext

from .base import Trick

TRACKED_LENGTHS = (0.05, 0.1)  # those of the authors
SHORTEST, LONGEST = 0.03, 0.2
Profile = tuple[float, int]  # an exponent, and the number of steps that the weights cover


class PostHocEMA(Trick):
    works_on_slices = True
    phase = "averaging"
    shares: Tensor  # [averages], of the current weights

    def __init__(self, length: float = 0.1, snapshots: int = 8):
        super().__init__()
        if not SHORTEST <= length <= LONGEST:
            raise ValueError(f"length must lie in [{SHORTEST}, {LONGEST}], not {length}")
        if snapshots < 1:
            raise ValueError(f"snapshots must be at least 1, not {snapshots}")
        self.length, self.count = length, snapshots
        self.exponents = [exponent_of(tracked) for tracked in TRACKED_LENGTHS]
        self.steps, self.times = 0, list[int]()  # taken steps, and those of each snapshot

    def incompatibility(self, config: BuildConfig) -> str | None:
        if "ema" in config.tricks:
            return "ema and post_hoc_ema both average the generators that are sampled: use one"
        if not issubclass(TASKS.load(parse_spec(config.task).name), Unconditional):
            return "post_hoc_ema has not been tried on tasks that translate images"
        if has_batch_norm(config):
            return (
                "post_hoc_ema combines weights, and statistics of batch norm cannot be combined; "
                "ema has its own"
            )
        return None

    def setup(self, task: Task, config: BuildConfig) -> None:
        def copies(count: int) -> nn.ModuleList:
            return nn.ModuleList(
                deepcopy(task.generators).requires_grad_(False) for _ in range(count)
            )

        self.averages = copies(len(self.exponents))
        self.snapshots = nn.ModuleList(copies(len(self.exponents)) for _ in range(self.count))
        self.register_buffer("shares", torch.ones(len(self.exponents)), persistent=False)

    def begin_step(self, context: StepContext) -> None:
        super().begin_step(context)
        self.steps = context.step + 1
        for number, exponent in enumerate(self.exponents):
            self.shares[number].fill_(1 - (1 - 1 / self.steps) ** (exponent + 1))

    def graph_key(self, context: StepContext) -> Hashable:
        return self.due_snapshot(context)

    def due_snapshot(self, context: StepContext) -> int | None:
        """Returns the number of the snapshot that this step takes, or None."""
        due = min(int(context.progress * (self.count + 1)), self.count)
        return len(self.times) if due > len(self.times) else None

    @torch.no_grad()
    def after_generator_step(self, task: Task, pairs: Sequence[AdversarialBatch]) -> None:
        assert self.context
        for average, share in zip(self.averages, self.shares, strict=True):
            for mean, now in zip(average.parameters(), task.generators.parameters(), strict=True):
                mean.lerp_(now, share)
        due = self.due_snapshot(self.context)
        if due is not None:
            self.snapshots[due].load_state_dict(self.averages.state_dict())
            self.times.append(self.steps)

    def transform_sampling_generators(self, generators: nn.ModuleDict) -> nn.ModuleDict:
        return self.reconstruct(generators, self.length)

    @torch.no_grad()
    def reconstruct(self, generators: nn.ModuleDict, length: float) -> nn.ModuleDict:
        """Returns a copy of the generators with the average weights of a length."""
        if not self.steps:
            return generators
        copy, profiles, kept = deepcopy(generators), list[Profile](), list[nn.Module]()
        taken: list[Any] = [*self.snapshots[: len(self.times)], self.averages]
        for averages, steps in zip(taken, [*self.times, self.steps], strict=True):
            profiles += [(exponent, steps) for exponent in self.exponents]
            kept += averages
        shares = combination(profiles, (exponent_of(length), self.steps))
        sources = zip(*(module.parameters() for module in kept), strict=True)
        for parameter, averages in zip(copy.parameters(), sources, strict=True):
            parts = [share * x.double() for share, x in zip(shares, averages, strict=True)]
            parameter.copy_(torch.stack(parts).sum(0))
        return copy

    def get_extra_state(self) -> Tensor:
        return torch.tensor([self.steps, *self.times], device="cpu")

    def set_extra_state(self, state: Tensor) -> None:
        self.steps, *self.times = (int(number) for number in state.tolist())


def exponent_of(length: float) -> float:
    """Returns the exponent of weights of a length: the root of a cubic polynomial."""
    inverse = length**-2
    return float(np.roots([1, 7, 16 - inverse, 12 - inverse]).real.max())


def combination(profiles: Sequence[Profile], wanted: Profile) -> list[float]:
    """Returns shares of profiles, of sum 1, that are nearest to a wanted profile."""
    count = len(profiles)
    system, towards = np.ones((count + 1, count + 1)), np.ones(count + 1)
    system[:count, :count] = [[inner_product(a, b) for b in profiles] for a in profiles]
    towards[:count] = [inner_product(a, wanted) for a in profiles]
    system[count, count] = 0  # the last row and column hold the sum at 1
    shares, *_ = np.linalg.lstsq(system, towards, rcond=None)
    return [float(x) for x in shares[:count]]


def inner_product(a: Profile, b: Profile) -> float:
    """Returns ∫ p_a p_b dt of the densities `p = (γ + 1) t^γ / T^(γ + 1)` on [0, T]."""
    (one, first), (other, second) = a, b
    least, power = min(first, second), one + other + 1
    relative = (least / first) ** (one + 0.5) * (least / second) ** (other + 0.5)
    return (one + 1) * (other + 1) / power * relative * (first * second) ** -0.5


def has_batch_norm(config: BuildConfig) -> bool:
    """Returns whether the network's generator has batch norm."""
    shape = next(iter(config.shapes.values()))
    if config.network.incompatibility(shape):
        return False
    latents = config.network.count_latents(config.hyperparameters.latent, shape)
    with torch.device("meta"):
        generator = config.network.build_generator(latents, shape)
    return any(isinstance(module, _BatchNorm) for module in generator.modules())
