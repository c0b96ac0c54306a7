"""Base class of tricks: a trick overrides hooks of GAN training; defaults change nothing.

`configure_*` and `transform_*` hooks return an object of the type that they receive, and compose in
order. `*_terms` hooks add to an objective. `setup`, `begin_step` and `after_*` update the trick's
own state. State that outlives a step is a buffer, so that checkpoints contain it.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import reduce
from typing import Any, ClassVar, Literal, Protocol, get_args

import torch
from torch import Tensor, nn

from ganbench.deprecation import RenamedHooks, with_renamed_attributes
from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.hyperparameters import Hyperparameters
from ganbench.gan.losses.base import Loss
from ganbench.gan.networks.base import Network
from ganbench.gan.networks.discriminator import Discriminator
from ganbench.gan.tasks.base import Batches, Task, Terms
from ganbench.renamed import TRICK_HOOKS
from ganbench.rng import StepContext

# The order in which tricks run, independent of the order in a recipe:
# - Projections of weights run before all tricks that read weights.
# - Targets of a loss run before flips of targets, the selection of examples, and votes of discriminators.
# - Changes of the discriminator's structure run before reparametrizations of its weights.
# - Changes of single images run before their split into bands, and the split before packing.
# - Averages of generators run before the trick that sets the level of growing generators.
TrickPhase = Literal[
    "plan",
    "projection",
    "loss",
    "labels",
    "selection",
    "votes",
    "structure",
    "weights",
    "augment",
    "bands",
    "pack",
    "penalty",
    "averaging",
    "growth",
]
TRICK_PHASES: tuple[TrickPhase, ...] = get_args(TrickPhase)


class TrainingInProgress(Protocol):
    """The training that `lookahead` may advance."""

    task: Task
    trick: "TrickList"
    optimizers: dict[str, torch.optim.Optimizer]

    def discriminator_step(self) -> Any:
        """Takes a discriminator step; it changes weights, optimizer state and tricks."""

    def discriminator_objective(self) -> Tensor:
        """Returns the next discriminator step's objective, with a graph to the generators."""


@with_renamed_attributes({"moment": "context"})
class Trick(nn.Module, RenamedHooks):
    """The hooks of training, in the order in which they run.

    They run once, in every step, or at evaluation. A training step is `discriminator_turns`
    discriminator steps, then one generator step. `context.step` counts training steps.
    `context.turn` counts the discriminator steps in one training step; in the generator step it is
    -1.
    """

    version: ClassVar[int] = 1
    neutral: ClassVar[dict[str, Any]] = {}
    phase: ClassVar[TrickPhase] = "penalty"
    renamed_hooks: ClassVar[Mapping[str, str]] = TRICK_HOOKS

    needs_double_backward: bool = False  # differentiates a gradient
    changes_weights_in_forward: ClassVar[bool] = False  # as power iterations do
    # Whether each process can have a slice of the batch, by `batch_slices`. Subclasses declare it anew.
    works_on_slices: ClassVar[bool] = False

    context: StepContext | None = None  # None before training, when only shapes are computed

    # Once, before anything is built.
    def configure_hyperparameters(self, hyperparameters: Hyperparameters) -> Hyperparameters:
        """Returns the hyperparameters of training, such as other learning rates."""
        return hyperparameters

    def configure_network(self, network: Network) -> Network:
        """Returns the network family, such as one with another discriminator norm."""
        return network

    def incompatibility(self, config: BuildConfig) -> str | None:
        """Returns the reason why this trick cannot be used here, or None."""
        return None

    def slicing_incompatibility(self, rows: int) -> str | None:
        """Returns the reason why this trick cannot train on slices of `rows` examples, or None."""
        return None

    # Once, while networks are built.
    def transform_generator(self, generator: nn.Module) -> nn.Module:
        """Returns a generator, changed or not. Called for each generator of a task."""
        return generator

    def transform_discriminator(self, discriminator: Discriminator) -> Discriminator:
        """Returns a discriminator, changed or not; its head may be replaced."""
        return discriminator

    def setup(self, task: Task, config: BuildConfig) -> None:
        """Creates the state that depends on the networks, before any `load_state_dict`."""

    # In every discriminator step and every generator step.
    def begin_step(self, context: StepContext) -> None:
        """Stores the step, the progress and the random stream, a trick's only clock."""
        self.context = context

    def graph_key(self, context: StepContext) -> Hashable:
        """Returns a key of the operations and constants of a turn, for CUDA graphs.

        Turns of equal keys must do the same operations with the same constants. Override it in a
        trick that reads `context.step` or `context.progress`; such a trick is else not captured.
        """
        return ()

    def transform_batches(self, batches: Batches) -> Batches:
        """Returns the real batches of a step, by domain, before the generators run."""
        return batches

    def transform_pair(self, pair: AdversarialBatch) -> AdversarialBatch:
        """Returns the pair of a discriminator step, with other reals or fakes."""
        return pair

    def transform_discriminator_input(self, x: Tensor, role: str) -> Tensor:
        """Returns a discriminator's input for images [N, ...]: augmented, noisy, packed.

        It is also called without a context, on empty images, to find the shape. Draw noise from
        `self.context.of(role).random`, so that the draws of one role do not change those of
        another.
        """
        return x

    def transform_loss(self, loss: Loss, pair: AdversarialBatch) -> Loss:
        """Returns the loss of a pair, with other targets or wrapped."""
        return loss

    def discriminator_terms(self, pair: AdversarialBatch) -> Terms:
        """Yields named scalars that add to the discriminator's loss, for each pair of a step."""
        return ()

    def generator_terms(self, pair: AdversarialBatch) -> Terms:
        """Yields named scalars that add to the generator's loss, for each pair of a step."""
        return ()

    def transform_gradients(self, side: str, parameters: Sequence[nn.Parameter]) -> None:
        """Changes the gradients of a side in place, before its optimizer's step."""

    def after_discriminator_step(self, task: Task, pairs: Sequence[AdversarialBatch]) -> None:
        """Runs once after a discriminator step, with all its pairs."""

    def lookahead(self, training: TrainingInProgress) -> AbstractContextManager[Any]:
        """Returns a context around a generator step; its exit restores all but the generators."""
        return nullcontext()

    def after_generator_step(self, task: Task, pairs: Sequence[AdversarialBatch]) -> None:
        """Runs once after a generator step."""

    # At evaluation.
    def transform_sampling_generators(self, generators: nn.ModuleDict) -> nn.ModuleDict:
        """Returns the generators for samples, of the same structure."""
        return generators


def has_hook(trick: Trick, hook: str) -> bool:
    """Returns whether a trick overrides a hook."""
    return getattr(type(trick), hook) is not getattr(Trick, hook)


HOOKS_OF_STEPS = (
    "begin_step",
    "graph_key",
    "transform_batches",
    "transform_pair",
    "transform_discriminator_input",
    "transform_loss",
    "discriminator_terms",
    "generator_terms",
    "transform_gradients",
    "after_discriminator_step",
    "lookahead",
    "after_generator_step",
)


class TrickList(Trick):
    """Tricks by name, in the order of their phases. The list is itself a trick.

    The empty list trains the plain GAN.
    """

    def __init__(self, tricks: Mapping[str, Trick]):
        super().__init__()
        order = sorted(tricks, key=lambda name: (TRICK_PHASES.index(tricks[name].phase), name))
        self.names = tuple(order)
        self.tricks = nn.ModuleList(tricks[name] for name in order)
        # A step calls fifteen hooks, and most tricks have two or three of them.
        self.by_hook = {
            hook: tuple(tricks[name] for name in order if has_hook(tricks[name], hook))
            for hook in HOOKS_OF_STEPS
        }

    def __iter__(self) -> Iterator[Trick]:
        return iter(self.tricks)  # type: ignore[arg-type]

    def items(self) -> Iterator[tuple[str, Trick]]:
        return zip(self.names, self, strict=True)

    def configure_hyperparameters(self, hyperparameters: Hyperparameters) -> Hyperparameters:
        return reduce(lambda x, trick: trick.configure_hyperparameters(x), self, hyperparameters)

    def configure_network(self, network: Network) -> Network:
        return reduce(lambda x, trick: trick.configure_network(x), self, network)

    def incompatibility(self, config: BuildConfig) -> str | None:
        reasons = [o for trick in self if (o := trick.incompatibility(config))]
        return "; ".join(reasons) or None

    def slicing_incompatibility(self, rows: int) -> str | None:
        return next(filter(None, (trick.slicing_incompatibility(rows) for trick in self)), None)

    def transform_generator(self, generator: nn.Module) -> nn.Module:
        return reduce(lambda x, trick: trick.transform_generator(x), self, generator)

    def transform_discriminator(self, discriminator: Discriminator) -> Discriminator:
        return reduce(lambda x, trick: trick.transform_discriminator(x), self, discriminator)

    def setup(self, task: Task, config: BuildConfig) -> None:
        for trick in self:
            trick.setup(task, config)

    def begin_step(self, context: StepContext) -> None:
        for name, trick in self.items():
            trick.begin_step(context.of("tricks").of(name))

    def graph_key(self, context: StepContext) -> Hashable:
        return tuple(trick.graph_key(context) for trick in self.by_hook["graph_key"])

    def transform_batches(self, batches: Batches) -> Batches:
        return reduce(
            lambda x, trick: trick.transform_batches(x), self.by_hook["transform_batches"], batches
        )

    def transform_loss(self, loss: Loss, pair: AdversarialBatch) -> Loss:
        return reduce(
            lambda x, trick: trick.transform_loss(x, pair), self.by_hook["transform_loss"], loss
        )

    def transform_discriminator_input(self, x: Tensor, role: str) -> Tensor:
        return reduce(
            lambda x, trick: trick.transform_discriminator_input(x, role),
            self.by_hook["transform_discriminator_input"],
            x,
        )

    def transform_pair(self, pair: AdversarialBatch) -> AdversarialBatch:
        return reduce(
            lambda x, trick: trick.transform_pair(x), self.by_hook["transform_pair"], pair
        )

    def discriminator_terms(self, pair: AdversarialBatch) -> Terms:
        for trick in self.by_hook["discriminator_terms"]:
            yield from trick.discriminator_terms(pair)

    def generator_terms(self, pair: AdversarialBatch) -> Terms:
        for trick in self.by_hook["generator_terms"]:
            yield from trick.generator_terms(pair)

    def transform_gradients(self, side: str, parameters: Sequence[nn.Parameter]) -> None:
        for trick in self.by_hook["transform_gradients"]:
            trick.transform_gradients(side, parameters)

    def lookahead(self, training: TrainingInProgress) -> AbstractContextManager[Any]:
        if not self.by_hook["lookahead"]:
            return nullcontext()
        stack = ExitStack()
        for trick in self.by_hook["lookahead"]:
            stack.enter_context(trick.lookahead(training))
        return stack

    def after_discriminator_step(self, task: Task, pairs: Sequence[AdversarialBatch]) -> None:
        for trick in self.by_hook["after_discriminator_step"]:
            trick.after_discriminator_step(task, pairs)

    def after_generator_step(self, task: Task, pairs: Sequence[AdversarialBatch]) -> None:
        for trick in self.by_hook["after_generator_step"]:
            trick.after_generator_step(task, pairs)

    def transform_sampling_generators(self, generators: nn.ModuleDict) -> nn.ModuleDict:
        return reduce(lambda x, trick: trick.transform_sampling_generators(x), self, generators)
