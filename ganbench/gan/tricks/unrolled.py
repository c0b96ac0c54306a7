"""Unrolled GAN (Metz et al., 2017): the generator trains against future discriminators.

The discriminators first take `turns` steps, with Adam's rule. With `order=2`, as published, the
generator's gradient passes through those steps. With `order=1` it does not, at a third of the cost.
Afterwards all but the generators is restored.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from ganbench.gan.batch_slices import mean_each_over_slices
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.tricks import TRICKS

from .base import TrainingInProgress, Trick


class Unrolled(Trick):
    works_on_slices = True
    version = 2
    needs_double_backward = True

    def __init__(self, turns: int = 5, order: Literal[1, 2] = 2):
        super().__init__()
        if turns < 1:
            raise ValueError(f"turns must be at least 1, not {turns}")
        self.turns, self.order = turns, order

    def incompatibility(self, config: BuildConfig) -> str | None:
        if self.order == 1:
            return None
        if config.hyperparameters.optimizer != "adam":
            return "unrolling of order 2 differentiates Adam's steps, and this plan has another optimizer"
        if foreign := [name for name in config.tricks if acts_outside_objective(name)]:
            return f"unrolling of order 2 cannot differentiate {foreign[0]}; order=1 can be used"
        return None

    @contextmanager
    def lookahead(self, training: TrainingInProgress) -> Iterator[None]:
        with (unroll_in_place if self.order == 1 else unroll_differentiably)(training, self.turns):
            yield


def acts_outside_objective(name: str) -> bool:
    """Returns whether a trick changes gradients or weights outside the objective.

    The gradient of an objective cannot pass through such a change.
    """
    trick = TRICKS.load(name)
    return trick.transform_gradients is not Trick.transform_gradients or trick.phase == "projection"


@contextmanager
def unroll_in_place(training: TrainingInProgress, turns: int) -> Iterator[None]:
    """Advances the discriminators by `turns` real steps, and restores them at exit."""
    rivals = (training.task.discriminators, training.optimizers["discriminator"])
    others = (training.task, training.trick)
    before, aside = save_states(rivals), save_states(others)
    for _ in range(turns):
        training.discriminator_step()
    # Restored last, because the task's state contains the discriminators too.
    ahead = save_states(rivals)
    restore_states(aside)
    restore_states(ahead)
    try:
        yield
    finally:
        restore_states(before)


class Stateful(Protocol):
    def state_dict(self) -> Any: ...

    def load_state_dict(self, state: Any) -> Any: ...


def save_states(parts: Sequence[Stateful]) -> list[tuple[Stateful, Any]]:
    return [(part, deepcopy(part.state_dict())) for part in parts]


def restore_states(saved: list[tuple[Stateful, Any]]) -> None:
    for part, state in saved:
        part.load_state_dict(state)


@contextmanager
def unroll_differentiably(training: TrainingInProgress, turns: int) -> Iterator[None]:
    """Replaces the discriminators' tensors by functions of the generators, until exit."""
    rivals, others = training.task.discriminators, (training.task, training.trick)
    parameters: dict[str, Tensor] = dict(rivals.named_parameters())
    buffers = copy_buffers(rivals)
    steps = [
        AdamStep.from_optimizer(training.optimizers["discriminator"], p)
        for p in parameters.values()
    ]
    with ExitStack() as aside:
        for part in others:
            aside.enter_context(with_tensors(part, copy_buffers(part)))
        for _ in range(turns):
            with with_tensors(rivals, parameters | buffers):
                total = training.discriminator_objective()
            now = tuple(parameters.values())
            slopes = torch.autograd.grad(total, now, create_graph=True, materialize_grads=True)
            means = mean_each_over_slices(slopes)
            steps = [step.with_gradient(slope) for step, slope in zip(steps, means, strict=True)]
            stepped = [step.apply_to(p) for step, p in zip(steps, now, strict=True)]
            parameters = dict(zip(parameters, stepped, strict=True))
    with with_tensors(rivals, parameters | buffers):
        yield


@dataclass(frozen=True, eq=False)
class AdamStep:
    """Adam (Kingma and Ba, 2015) for one parameter, as a differentiable function."""

    rate: float
    betas: tuple[float, float]
    epsilon: float
    mean: Tensor
    square: Tensor
    count: Tensor

    @classmethod
    def from_optimizer(cls, optimizer: torch.optim.Optimizer, parameter: Tensor) -> "AdamStep":
        """Copies a parameter's state in an optimizer; without any gradient yet it is zero."""
        (group,), state = optimizer.param_groups, optimizer.state.get(parameter, {})
        zero = torch.zeros_like(parameter)
        mean, square = (state.get(key, zero).clone() for key in ("exp_avg", "exp_avg_sq"))
        count = state.get("step", torch.zeros(())).clone()
        return cls(group["lr"], group["betas"], group["eps"], mean, square, count)

    def with_gradient(self, gradient: Tensor) -> "AdamStep":
        first, second = self.betas
        mean = first * self.mean + (1 - first) * gradient
        square = second * self.square + (1 - second) * gradient.square()
        return AdamStep(self.rate, self.betas, self.epsilon, mean, square, self.count + 1)

    def apply_to(self, parameter: Tensor) -> Tensor:
        logs = (math.log(max(beta, 1e-300)) for beta in self.betas)
        first, second = (-torch.expm1(self.count * log) for log in logs)  # 1 - beta^count, exactly
        root = (self.square / second).add(1e-30).sqrt()  # the root has no gradient at 0
        return parameter - self.rate * self.mean / first / (root + self.epsilon)


def copy_buffers(module: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in module.named_buffers()}


@contextmanager
def with_tensors(module: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Replaces a module's parameters and buffers by tensors of the same names, until exit."""
    places = [tensor_place(module, name) for name in tensors]
    own = [home[key] for home, key in places]
    try:
        fill_places(places, tensors.values())
        yield
    finally:
        fill_places(places, own)


Place = tuple[dict[str, Any], str]


def tensor_place(module: nn.Module, name: str) -> Place:
    """Returns the dict and the key of a module's tensor.

    Assignment to an attribute would accept only parameters.
    """
    path, _, key = name.rpartition(".")
    owner = module.get_submodule(path)
    return (owner._parameters if key in owner._parameters else owner._buffers), key


def fill_places(places: Iterable[Place], tensors: Iterable[Tensor]) -> None:
    for (home, key), tensor in zip(places, tensors, strict=True):
        home[key] = tensor
