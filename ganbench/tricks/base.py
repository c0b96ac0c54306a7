"""A trick fills any of the seams of GAN training; each seam left alone changes nothing.

Transforming seams (plan, network, loss, generator, discriminator, view, stage, sampler) map a thing to
a thing of the same type and compose in order; term seams add to an objective; event seams update a
trick's own state. State that outlives a turn is a buffer, so that checkpoints carry it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import reduce
from typing import Any, ClassVar, Literal, Protocol

from torch import Tensor, nn

from ..blueprint import Blueprint
from ..duel import Duel
from ..games.base import Game, Terms
from ..losses.base import Loss
from ..networks.base import Network
from ..networks.discriminator import Discriminator
from ..plan import Plan
from ..streams import Moment

Phase = Literal["plan", "loss", "network", "view", "penalty", "averaging"]
PHASES: tuple[Phase, ...] = ("plan", "loss", "network", "view", "penalty", "averaging")


class Stateful(Protocol):
    def state_dict(self) -> Any: ...

    def load_state_dict(self, state: Any) -> Any: ...


class Trick(nn.Module):
    version: ClassVar[int] = 1
    neutral: ClassVar[dict[str, Any]] = {}
    phase: ClassVar[Phase] = "penalty"  # its place in a chain, whatever order it was listed in

    moment: Moment | None = None  # None: nothing runs yet, shapes are being asked for

    # Once, before anything is built.
    def plan(self, plan: Plan) -> Plan:
        return plan

    def network(self, network: Network) -> Network:
        return network

    def objection(self, blueprint: Blueprint) -> str | None:
        """Why this trick has no meaning here, in a sentence, or None."""
        return None

    # Once, while it is built.
    def generator(self, generator: nn.Module) -> nn.Module:
        return generator

    def discriminator(self, discriminator: Discriminator) -> Discriminator:
        return discriminator

    def attach(self, game: Game, blueprint: Blueprint) -> None:
        """Makes the state that depends on the networks, ahead of any load_state_dict."""

    # Every turn.
    def tick(self, moment: Moment) -> None:
        """The only clock: called before each turn. Draws come from `self.moment.random`."""
        self.moment = moment

    def loss(self, loss: Loss) -> Loss:
        return loss

    def view(self, x: Tensor) -> Tensor:
        """What a discriminator is shown of images; also asked of empty ones without a moment."""
        return x

    def stage(self, duel: Duel) -> Duel:
        """Who meets whom on a discriminator's turn."""
        return duel

    def discriminator_terms(self, duel: Duel) -> Terms:
        return ()

    def generator_terms(self, duel: Duel) -> Terms:
        return ()

    def gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Sees a side's summed gradients, before its optimizer's step."""

    def lookahead(
        self,
        discriminator_turn: Callable[[], Any],
        rivals: Sequence[Stateful],
        others: Sequence[Stateful],
    ) -> AbstractContextManager[Any]:
        """Surrounds the generators' turn. discriminator_turn() moves the rivals, which the generators
        shall meet and which are put back after them, and others, which are put back before."""
        return nullcontext()

    def after_discriminator(self, duel: Duel) -> None: ...

    def after_generator(self, duel: Duel) -> None: ...

    # At evaluation.
    def sampler(self, generators: nn.ModuleDict) -> nn.ModuleDict:
        """The generators that samples are taken from, of the same structure."""
        return generators


class Chain(Trick):
    """Tricks by name, in the order of their phases, are a trick; no tricks are the plain GAN."""

    def __init__(self, tricks: Mapping[str, Trick]):
        super().__init__()
        order = sorted(tricks, key=lambda name: (PHASES.index(tricks[name].phase), name))
        self.tricks = nn.ModuleDict({name: tricks[name] for name in order})

    def __iter__(self) -> Iterator[Trick]:
        return iter(self.tricks.values())  # type: ignore[arg-type]

    def items(self) -> Iterator[tuple[str, Trick]]:
        return iter(self.tricks.items())  # type: ignore[arg-type]

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
            trick.tick(moment.of(name))

    def loss(self, loss: Loss) -> Loss:
        return reduce(lambda x, trick: trick.loss(x), self, loss)

    def view(self, x: Tensor) -> Tensor:
        return reduce(lambda x, trick: trick.view(x), self, x)

    def stage(self, duel: Duel) -> Duel:
        return reduce(lambda x, trick: trick.stage(x), self, duel)

    def discriminator_terms(self, duel: Duel) -> Terms:
        for trick in self:
            yield from trick.discriminator_terms(duel)

    def generator_terms(self, duel: Duel) -> Terms:
        for trick in self:
            yield from trick.generator_terms(duel)

    def gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        for trick in self:
            trick.gradients(parameters)

    def lookahead(
        self,
        discriminator_turn: Callable[[], Any],
        rivals: Sequence[Stateful],
        others: Sequence[Stateful],
    ) -> AbstractContextManager[Any]:
        stack = ExitStack()
        for trick in self:
            stack.enter_context(trick.lookahead(discriminator_turn, rivals, others))
        return stack

    def after_discriminator(self, duel: Duel) -> None:
        for trick in self:
            trick.after_discriminator(duel)

    def after_generator(self, duel: Duel) -> None:
        for trick in self:
            trick.after_generator(duel)

    def sampler(self, generators: nn.ModuleDict) -> nn.ModuleDict:
        return reduce(lambda x, trick: trick.sampler(x), self, generators)
