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

from ganbench.gan.adversarial_batch import Duel
from ganbench.gan.build_config import Blueprint
from ganbench.gan.hyperparameters import Plan
from ganbench.gan.losses.base import Loss
from ganbench.gan.networks.base import Network
from ganbench.gan.networks.discriminator import Discriminator
from ganbench.gan.tasks.base import Batches, Game, Terms
from ganbench.rng import Moment

# A chain's order: what changes the discriminator's structure comes before what reparametrizes its
# weights, what changes single images before what splits them into bands, and that before what packs them.
# What moves weights by itself comes before all that looks at them. What sets a loss's targets comes before
# what swaps single ones, that before what picks examples, and that before what asks several judges.
# What tells samplers how far networks have grown comes after what averages them.
Phase = Literal[
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
PHASES: tuple[Phase, ...] = get_args(Phase)


class Training(Protocol):
    """What a look ahead of the generators' turn may ask of the training that it is part of."""

    game: Game
    trick: "Trick"
    optimizers: dict[str, torch.optim.Optimizer]

    def discriminator_turn(self) -> Any:
        """One more turn, which moves the discriminators, their optimizer and other tricks."""

    def discriminator_objective(self) -> Tensor:
        """What the next such turn would descend; its graph leads back to the generators too."""


class Trick(nn.Module):
    version: ClassVar[int] = 1
    neutral: ClassVar[dict[str, Any]] = {}
    phase: ClassVar[Phase] = "penalty"  # its place in a chain, whatever order it was listed in

    moment: Moment | None = None  # None: nothing runs yet, shapes are being asked for

    # Once, before anything is built.
    def plan(self, plan: Plan) -> Plan:
        """Rates, batch, turns: as the trick wants them."""
        return plan

    def network(self, network: Network) -> Network:
        """The network family with other settings, such as another norm of the discriminator."""
        return network

    def objection(self, blueprint: Blueprint) -> str | None:
        """Why this trick has no meaning here, in a sentence, or None."""
        return None

    # Once, while it is built.
    def generator(self, generator: nn.Module) -> nn.Module:
        """A generator as it was built, or changed; each that a game has, by itself."""
        return generator

    def discriminator(self, discriminator: Discriminator) -> Discriminator:
        """The same of a discriminator, whose head may be exchanged."""
        return discriminator

    def attach(self, game: Game, blueprint: Blueprint) -> None:
        """Makes the state that depends on the networks, ahead of any load_state_dict."""

    # Every turn.
    def tick(self, moment: Moment) -> None:
        """The only clock: called before each turn. Draws come from `self.moment.of(...).random`."""
        self.moment = moment

    def deal(self, batches: Batches) -> Batches:
        """The reals of a turn, before anybody plays with them."""
        return batches

    def loss(self, loss: Loss, duel: Duel) -> Loss:
        """The loss of a duel, with other targets or around it."""
        return loss

    def view(self, x: Tensor, role: str) -> Tensor:
        """What a discriminator is shown of images; also asked of empty ones without a moment.

        Noise comes from `self.moment.of(role).random`, so that no role moves another's.
        """
        return x

    def stage(self, duel: Duel) -> Duel:
        """Who meets whom on a discriminator's turn."""
        return duel

    def discriminator_terms(self, duel: Duel) -> Terms:
        """Named scalars that add to the discriminator's objective, of each duel of its turn."""
        return ()

    def generator_terms(self, duel: Duel) -> Terms:
        """The same of the generator's."""
        return ()

    def gradients(self, side: str, parameters: Sequence[nn.Parameter]) -> None:
        """Sees a side's summed gradients, before its optimizer's step."""

    def lookahead(self, training: Training) -> AbstractContextManager[Any]:
        """Surrounds the generators' turn, and leaves nothing moved that it moved but the generators."""
        return nullcontext()

    def after_discriminators(self, game: Game, duels: Sequence[Duel]) -> None:
        """The discriminators have moved; once a turn, however many duels it had."""

    def after_generators(self, game: Game, duels: Sequence[Duel]) -> None:
        """The generators have moved."""

    # At evaluation.
    def sampler(self, generators: nn.ModuleDict) -> nn.ModuleDict:
        """The generators that samples are taken from, of the same structure."""
        return generators


class Chain(Trick):
    """Tricks by name, in the order of their phases, are a trick; no tricks are the plain GAN."""

    def __init__(self, tricks: Mapping[str, Trick]):
        super().__init__()
        order = sorted(tricks, key=lambda name: (PHASES.index(tricks[name].phase), name))
        self.names = tuple(order)
        self.tricks = nn.ModuleList(tricks[name] for name in order)

    def __iter__(self) -> Iterator[Trick]:
        return iter(self.tricks)  # type: ignore[arg-type]

    def items(self) -> Iterator[tuple[str, Trick]]:
        return zip(self.names, self, strict=True)

    def plan(self, plan: Plan) -> Plan:
        return reduce(lambda x, trick: trick.plan(x), self, plan)

    def network(self, network: Network) -> Network:
        return reduce(lambda x, trick: trick.network(x), self, network)

    def objection(self, blueprint: Blueprint) -> str | None:
        found = [o for trick in self if (o := trick.objection(blueprint))]
        return "; ".join(found) or None

    def generator(self, generator: nn.Module) -> nn.Module:
        return reduce(lambda x, trick: trick.generator(x), self, generator)

    def discriminator(self, discriminator: Discriminator) -> Discriminator:
        return reduce(lambda x, trick: trick.discriminator(x), self, discriminator)

    def attach(self, game: Game, blueprint: Blueprint) -> None:
        for trick in self:
            trick.attach(game, blueprint)

    def tick(self, moment: Moment) -> None:
        for name, trick in self.items():
            trick.tick(moment.of("tricks").of(name))

    def deal(self, batches: Batches) -> Batches:
        return reduce(lambda x, trick: trick.deal(x), self, batches)

    def loss(self, loss: Loss, duel: Duel) -> Loss:
        return reduce(lambda x, trick: trick.loss(x, duel), self, loss)

    def view(self, x: Tensor, role: str) -> Tensor:
        return reduce(lambda x, trick: trick.view(x, role), self, x)

    def stage(self, duel: Duel) -> Duel:
        return reduce(lambda x, trick: trick.stage(x), self, duel)

    def discriminator_terms(self, duel: Duel) -> Terms:
        for trick in self:
            yield from trick.discriminator_terms(duel)

    def generator_terms(self, duel: Duel) -> Terms:
        for trick in self:
            yield from trick.generator_terms(duel)

    def gradients(self, side: str, parameters: Sequence[nn.Parameter]) -> None:
        for trick in self:
            trick.gradients(side, parameters)

    def lookahead(self, training: Training) -> AbstractContextManager[Any]:
        stack = ExitStack()
        for trick in self:
            stack.enter_context(trick.lookahead(training))
        return stack

    def after_discriminators(self, game: Game, duels: Sequence[Duel]) -> None:
        for trick in self:
            trick.after_discriminators(game, duels)

    def after_generators(self, game: Game, duels: Sequence[Duel]) -> None:
        for trick in self:
            trick.after_generators(game, duels)

    def sampler(self, generators: nn.ModuleDict) -> nn.ModuleDict:
        return reduce(lambda x, trick: trick.sampler(x), self, generators)
