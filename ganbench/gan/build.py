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
from ganbench.gan.networks.base import initialize_parameters
from ganbench.gan.networks.discriminator import Discriminator, Shape
from ganbench.gan.tasks import TASKS
from ganbench.gan.tasks.base import Task
from ganbench.gan.tricks import TRICKS
from ganbench.gan.tricks.base import Trick, TrickList
from ganbench.registry import parse_spec
from ganbench.rng import RngStreams

from .build_config import BuildConfig
from .hyperparameters import Hyperparameters
from .recipe import Recipe


@dataclass(frozen=True, eq=False)
class TrainingSetup:
    """A game that is built, and what it is trained by."""

    task: Task
    loss: Loss
    trick: Trick
    hyperparameters: Hyperparameters


META_DEVICE = torch.device("meta")


class Incompatible(GanbenchError, ValueError):
    """The objection of a network or a trick to the setup that it was put in, in a sentence."""


def make_trick_list(recipe: Recipe) -> TrickList:
    """The recipe's tricks; raises Incompatible if one is in it twice."""
    names = [parse_spec(text).name for text in recipe.tricks]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise Incompatible(f"the variant has {' and '.join(twice)} already")
    return TrickList({parse_spec(text).name: TRICKS.make(text) for text in recipe.tricks})


def make_build_config(recipe: Recipe, data: Data, tricks: TrickList) -> BuildConfig:
    """Everything that is declared, final; raises Incompatible with all objections in a sentence."""
    network = tricks.configure_network(NETWORKS.make(recipe.network))
    config = BuildConfig(
        task=recipe.task,
        network=network,
        loss=LOSSES.make(recipe.loss),
        hyperparameters=tricks.configure_hyperparameters(recipe.hyperparameters),
        shapes=data.shapes,
        classes=data.classes,
        tricks=tuple(name for name, _ in tricks.items()),
    )
    objections = [o for shape in data.shapes.values() if (o := network.incompatibility(shape))]
    for part in (TASKS.make(recipe.task), tricks):
        objections += [o] if (o := part.incompatibility(config)) else []
    if objections:
        raise Incompatible("; ".join(dict.fromkeys(objections)))  # two domains may be refused alike
    return config


def build_training(recipe: Recipe, data: Data, streams: RngStreams) -> TrainingSetup:
    """Builds a recipe for data of these shapes on the streams' device, initial weights included.

    Weights are drawn on the CPU, so that they are the same on every device. On the `meta` device
    nothing is computed: that is how a suite is checked before it runs.
    """
    tricks = make_trick_list(recipe)
    config = make_build_config(recipe, data, tricks)
    with torch.device(META_DEVICE if streams.device == META_DEVICE else "cpu"):
        task = _build_task(recipe, config, tricks, streams)
        for name, trick in tricks.items():
            with streams.seeded_globally("weights", f"{name}.attach"):
                trick.setup(task, config)
    task, tricks = task.to(streams.device), tricks.to(streams.device)
    return TrainingSetup(task, config.loss, tricks, config.hyperparameters)


def _build_task(
    recipe: Recipe, config: BuildConfig, tricks: TrickList, streams: RngStreams
) -> Task:
    def make_generator(name: str, plain: nn.Module) -> nn.Module:
        network = initialize_parameters(config.network, plain, streams, f"generator.{name}")
        return transform_network(network, "generator", name)

    def make_discriminator(
        name: str, shape: Shape, plain: Callable[[Shape], Discriminator]
    ) -> Discriminator:
        shown = tricks.transform_discriminator_input(
            torch.empty(config.hyperparameters.batch, *shape, device=META_DEVICE), name
        )
        network = plain(tuple(shown.shape[1:]))
        initialize_parameters(config.network, network, streams, f"discriminator.{name}")
        return transform_network(network, "discriminator", name)

    def transform_network(network: Any, side: str, name: str) -> Any:
        """The network after every trick had its say; what one adds is initialized in its name."""
        for trick_name, trick in tricks.items():
            where, initialized_modules = f"{trick_name}.{side}.{name}", set(network.modules())
            with streams.seeded_globally("weights", where):
                network = getattr(trick, f"transform_{side}")(network)
            initialize_parameters(config.network, network, streams, where, initialized_modules)
        return network

    task: Task = TASKS.make(recipe.task)
    with streams.seeded_globally(
        "weights"
    ):  # for what is neither a layer nor a trick's: a learned constant
        task.build(config, make_generator, make_discriminator)
    return task


def check_recipe(recipe: Recipe, data: str) -> None:
    """Raises Incompatible if the recipe has no meaning on this data set; computes nothing."""
    try:
        build_training(recipe, DATA.make(data), RngStreams(0, META_DEVICE))
    except Incompatible:
        raise
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise Incompatible(f"it cannot be built: {error}".splitlines()[0]) from error
