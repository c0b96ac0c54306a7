"""Assembly: from a recipe and data to a game that can be trained, or to the objections against it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ganbench.data import DATA
from ganbench.data.base import Data
from ganbench.errors import GanbenchError
from ganbench.gan.losses import LOSSES
from ganbench.gan.losses.base import Loss
from ganbench.gan.networks import NETWORKS
from ganbench.gan.networks.base import initialized
from ganbench.gan.networks.discriminator import Discriminator, Shape
from ganbench.gan.tasks import GAMES
from ganbench.gan.tasks.base import Game
from ganbench.gan.tricks import TRICKS
from ganbench.gan.tricks.base import Chain, Trick
from ganbench.registry import parse
from ganbench.rng import Streams

from .build_config import Blueprint
from .hyperparameters import Plan
from .recipe import Recipe


@dataclass(frozen=True, eq=False)
class Setup:
    """A game that is built, and what it is trained by."""

    game: Game
    loss: Loss
    trick: Trick
    plan: Plan


META = torch.device("meta")


class Incompatible(GanbenchError, ValueError):
    """The objection of a network or a trick to the setup that it was put in, in a sentence."""


def chain(recipe: Recipe) -> Chain:
    """The recipe's tricks; raises Incompatible if one is in it twice."""
    names = [parse(text).name for text in recipe.tricks]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise Incompatible(f"the variant has {' and '.join(twice)} already")
    return Chain({parse(text).name: TRICKS.make(text) for text in recipe.tricks})


def blueprint_of(recipe: Recipe, data: Data, tricks: Chain) -> Blueprint:
    """Everything that is declared, final; raises Incompatible with all objections in a sentence."""
    network = tricks.network(NETWORKS.make(recipe.network))
    found = Blueprint(
        game=recipe.game,
        network=network,
        loss=LOSSES.make(recipe.loss),
        plan=tricks.plan(recipe.plan),
        shapes=data.shapes,
        classes=data.classes,
        tricks=tuple(name for name, _ in tricks.items()),
    )
    objections = [o for shape in data.shapes.values() if (o := network.objection(shape))]
    for part in (GAMES.make(recipe.game), tricks):
        objections += [o] if (o := part.objection(found)) else []
    if objections:
        raise Incompatible("; ".join(dict.fromkeys(objections)))  # two domains may be refused alike
    return found


def assemble(recipe: Recipe, data: Data, streams: Streams) -> Setup:
    """Builds a recipe for data of these shapes on the streams' device, initial weights included.

    Weights are drawn on the CPU, so that they are the same on every device. On the `meta` device
    nothing is computed: that is how a suite is checked before it runs.
    """
    tricks = chain(recipe)
    blueprint = blueprint_of(recipe, data, tricks)
    with torch.device(META if streams.device == META else "cpu"):
        game = _game(recipe, blueprint, tricks, streams)
        for name, trick in tricks.items():
            with streams.seeded("weights", f"{name}.attach"):
                trick.attach(game, blueprint)
    game, tricks = game.to(streams.device), tricks.to(streams.device)
    return Setup(game, blueprint.loss, tricks, blueprint.plan)


def _game(recipe: Recipe, blueprint: Blueprint, tricks: Chain, streams: Streams) -> Game:
    def generator(name: str, plain: nn.Module) -> nn.Module:
        made = initialized(blueprint.network, plain, streams, f"generator.{name}")
        return tricked(made, "generator", name)

    def discriminator(
        name: str, shape: Shape, plain: Callable[[Shape], Discriminator]
    ) -> Discriminator:
        seen = tricks.view(torch.empty(blueprint.plan.batch, *shape, device=META), name)
        made = plain(tuple(seen.shape[1:]))
        initialized(blueprint.network, made, streams, f"discriminator.{name}")
        return tricked(made, "discriminator", name)

    def tricked(made: Any, side: str, name: str) -> Any:
        """The network after every trick had its say; what one adds is initialized in its name."""
        for trick_name, trick in tricks.items():
            where, known = f"{trick_name}.{side}.{name}", set(made.modules())
            with streams.seeded("weights", where):
                made = getattr(trick, side)(made)
            initialized(blueprint.network, made, streams, where, known)
        return made

    game: Game = GAMES.make(recipe.game)
    with streams.seeded("weights"):  # for what is neither a layer nor a trick's: a learned constant
        game.build(blueprint, generator, discriminator)
    return game


def checked(recipe: Recipe, data: str) -> None:
    """Raises Incompatible if the recipe has no meaning on this data set; computes nothing."""
    try:
        assemble(recipe, DATA.make(data), Streams(0, META))
    except Incompatible:
        raise
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise Incompatible(f"it cannot be built: {error}".splitlines()[0]) from error
