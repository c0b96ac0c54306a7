"""A trick fills any of the seams of GAN training; each seam left alone changes nothing.

Transforming seams (plan, network, generator, discriminator, deal, loss, view, stage, sampler) map a thing to
a thing of the same type and compose in order; term seams add to an objective; event seams update a
trick's own state. State that outlives a turn is a buffer, so that checkpoints carry it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import reduce
from typing import Any, ClassVar, Literal, Protocol, get_args

import torch
from torch import Tensor, nn

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.hyperparameters import Hyperparameters
from ganbench.gan.losses.base import Loss
from ganbench.gan.networks.base import Network
from ganbench.gan.networks.discriminator import Discriminator
from ganbench.gan.tasks.base import Batches, Task, Terms
from ganbench.rng import StepContext

# A chain's order: what changes the discriminator's structure comes before what reparametrizes its
# weights, what changes single images before what splits them into bands, and that before what packs them.
# What moves weights by itself comes before all that looks at them. What sets a loss's targets comes before
# what swaps single ones, that before what picks examples, and that before what asks several judges.
# What tells samplers how far networks have grown comes after what averages them.
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
    """What a look ahead of the generators' turn may ask of the training that it is part of."""

    task: Task
    trick: "Trick"
    optimizers: dict[str, torch.optim.Optimizer]

    def discriminator_step(self) -> Any:
        """One more turn, which moves the discriminators, their optimizer and other tricks."""

    def discriminator_objective(self) -> Tensor:
        """What the next such turn would descend; its graph leads back to the generators too."""


class Trick(nn.Module):
    version: ClassVar[int] = 1
    neutral: ClassVar[dict[str, Any]] = {}
    phase: ClassVar[TrickPhase] = "penalty"  # its place in a chain, whatever order it was listed in

    context: StepContext | None = None  # None: nothing runs yet, shapes are being asked for

    # Once, before anything is built.
    def configure_hyperparameters(self, hyperparameters: Hyperparameters) -> Hyperparameters:
        """Rates, batch, turns: as the trick wants them."""
        return hyperparameters

    def configure_network(self, network: Network) -> Network:
        """The network family with other settings, such as another norm of the discriminator."""
        return network

    def incompatibility(self, config: BuildConfig) -> str | None:
        """Why this trick has no meaning here, in a sentence, or None."""
        return None

    # Once, while it is built.
    def transform_generator(self, generator: nn.Module) -> nn.Module:
        """A generator as it was built, or changed; each that a game has, by itself."""
        return generator

    def transform_discriminator(self, discriminator: Discriminator) -> Discriminator:
        """The same of a discriminator, whose head may be exchanged."""
        return discriminator

    def setup(self, task: Task, config: BuildConfig) -> None:
        """Makes the state that depends on the networks, ahead of any load_state_dict."""

    # Every turn.
    def begin_step(self, context: StepContext) -> None:
        """The only clock: called before each turn. Draws come from `self.moment.of(...).random`."""
        self.context = context

    def transform_batches(self, batches: Batches) -> Batches:
        """The reals of a turn, before anybody plays with them."""
        return batches

    def transform_loss(self, loss: Loss, pair: AdversarialBatch) -> Loss:
        """The loss of a duel, with other targets or around it."""
        return loss

    def transform_discriminator_input(self, x: Tensor, role: str) -> Tensor:
        """What a discriminator is shown of images; also asked of empty ones without a moment.

        Noise comes from `self.moment.of(role).random`, so that no role moves another's.
        """
        return x

    def transform_pair(self, pair: AdversarialBatch) -> AdversarialBatch:
        """Who meets whom on a discriminator's turn."""
        return pair

    def discriminator_terms(self, pair: AdversarialBatch) -> Terms:
        """Named scalars that add to the discriminator's objective, of each duel of its turn."""
        return ()

    def generator_terms(self, pair: AdversarialBatch) -> Terms:
        """The same of the generator's."""
        return ()

    def transform_gradients(self, side: str, parameters: Sequence[nn.Parameter]) -> None:
        """Sees a side's summed gradients, before its optimizer's step."""

    def lookahead(self, training: TrainingInProgress) -> AbstractContextManager[Any]:
        """Surrounds the generators' turn, and leaves nothing moved that it moved but the generators."""
        return nullcontext()

    def after_discriminator_step(self, task: Task, pairs: Sequence[AdversarialBatch]) -> None:
        """The discriminators have moved; once a turn, however many duels it had."""

    def after_generator_step(self, task: Task, pairs: Sequence[AdversarialBatch]) -> None:
        """The generators have moved."""

    # At evaluation.
    def transform_sampling_generators(self, generators: nn.ModuleDict) -> nn.ModuleDict:
        """The generators that samples are taken from, of the same structure."""
        return generators


class TrickList(Trick):
    """Tricks by name, in the order of their phases, are a trick; no tricks are the plain GAN."""

    def __init__(self, tricks: Mapping[str, Trick]):
        super().__init__()
        order = sorted(tricks, key=lambda name: (TRICK_PHASES.index(tricks[name].phase), name))
        self.names = tuple(order)
        self.tricks = nn.ModuleList(tricks[name] for name in order)

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

    def transform_batches(self, batches: Batches) -> Batches:
        return reduce(lambda x, trick: trick.transform_batches(x), self, batches)

    def transform_loss(self, loss: Loss, pair: AdversarialBatch) -> Loss:
        return reduce(lambda x, trick: trick.transform_loss(x, pair), self, loss)

    def transform_discriminator_input(self, x: Tensor, role: str) -> Tensor:
        return reduce(lambda x, trick: trick.transform_discriminator_input(x, role), self, x)

    def transform_pair(self, pair: AdversarialBatch) -> AdversarialBatch:
        return reduce(lambda x, trick: trick.transform_pair(x), self, pair)

    def discriminator_terms(self, pair: AdversarialBatch) -> Terms:
        for trick in self:
            yield from trick.discriminator_terms(pair)

    def generator_terms(self, pair: AdversarialBatch) -> Terms:
        for trick in self:
            yield from trick.generator_terms(pair)

    def transform_gradients(self, side: str, parameters: Sequence[nn.Parameter]) -> None:
        for trick in self:
            trick.transform_gradients(side, parameters)

    def lookahead(self, training: TrainingInProgress) -> AbstractContextManager[Any]:
        stack = ExitStack()
        for trick in self:
            stack.enter_context(trick.lookahead(training))
        return stack

    def after_discriminator_step(self, task: Task, pairs: Sequence[AdversarialBatch]) -> None:
        for trick in self:
            trick.after_discriminator_step(task, pairs)

    def after_generator_step(self, task: Task, pairs: Sequence[AdversarialBatch]) -> None:
        for trick in self:
            trick.after_generator_step(task, pairs)

    def transform_sampling_generators(self, generators: nn.ModuleDict) -> nn.ModuleDict:
        return reduce(lambda x, trick: trick.transform_sampling_generators(x), self, generators)
