"""Builds a trainable task from a recipe and data, or raises the reasons against it."""

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
from ganbench.gan.networks.base import Network, initialize_parameters
from ganbench.gan.networks.discriminator import Discriminator, Shape
from ganbench.gan.tasks import TASKS
from ganbench.gan.tasks.base import Task
from ganbench.gan.tricks import TRICKS
from ganbench.gan.tricks.base import TrickList
from ganbench.local_files import part_of
from ganbench.registry import PluginError, find_plugin_part, parse_spec
from ganbench.rng import RngStreams

from .build_config import BuildConfig
from .hyperparameters import Hyperparameters
from .recipe import Recipe


@dataclass(frozen=True, eq=False)
class TrainingSetup:
    """A built task with its loss, tricks, hyperparameters and the settings of its networks."""

    task: Task
    loss: Loss
    trick: TrickList
    hyperparameters: Hyperparameters
    network: Network


META_DEVICE = torch.device("meta")
MAX_WEIGHTS = 10**10  # of all networks: with Adam's state they take 160 GB


class Incompatible(GanbenchError, ValueError):
    """The error for a recipe that cannot be trained. Its message contains all reasons."""


def part_name(text: str) -> str:
    """Returns the name of a trick in a spec; for a local file's, the name of its class."""
    return part_of(parse_spec(text).name)


def make_trick_list(recipe: Recipe) -> TrickList:
    """Makes the tricks of a recipe. Raises Incompatible if a trick occurs twice."""
    names = [part_name(text) for text in recipe.tricks]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise Incompatible(f"the variant has {' and '.join(twice)} already")
    return TrickList({part_name(text): TRICKS.make(text) for text in recipe.tricks})


def make_build_config(recipe: Recipe, data: Data, tricks: TrickList) -> BuildConfig:
    """Resolves all settings of a recipe. Raises Incompatible with all reasons in one message."""
    network = tricks.configure_network(NETWORKS.make(recipe.network))
    config = BuildConfig(
        task=recipe.task,
        network=network,
        loss=LOSSES.make(recipe.loss),
        hyperparameters=tricks.configure_hyperparameters(recipe.hyperparameters),
        shapes=data.shapes,
        classes=data.classes,
        tricks=tuple(name for name, _ in tricks.items()),
        captions=data.captions,
        has_targets=data.has_targets,
    )
    objections = [o for shape in data.shapes.values() if (o := network.incompatibility(shape))]
    for part in (TASKS.make(recipe.task), tricks):
        objections += [o] if (o := part.incompatibility(config)) else []
    if objections:
        # Two domains may have the same reason.
        raise Incompatible("; ".join(dict.fromkeys(objections)))
    return config


def build_training(recipe: Recipe, data: Data, streams: RngStreams) -> TrainingSetup:
    """Builds a recipe for a data set on the streams' device, with initial weights.

    Weights are drawn on the CPU, so they are the same on every device. The `meta` device computes
    only shapes: suites are checked on it before they run. Raises Incompatible if the recipe cannot
    be trained.
    """
    tricks = make_trick_list(recipe)
    config = make_build_config(recipe, data, tricks)
    with torch.device(META_DEVICE if streams.device == META_DEVICE else "cpu"):
        task = _build_task(recipe, config, tricks, streams)
        for name, trick in tricks.items():
            with streams.seeded_globally("weights", f"{name}.attach"):
                trick.setup(task, config)
    task, tricks = task.to(streams.device), tricks.to(streams.device)
    return TrainingSetup(task, config.loss, tricks, config.hyperparameters, config.network)


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
        """Applies every trick to a network. New layers are initialized under their trick's name."""
        for trick_name, trick in tricks.items():
            where, initialized_modules = f"{trick_name}.{side}.{name}", set(network.modules())
            with streams.seeded_globally("weights", where):
                network = getattr(trick, f"transform_{side}")(network)
            initialize_parameters(config.network, network, streams, where, initialized_modules)
        return network

    task: Task = TASKS.make(recipe.task)
    # The seed is for parameters outside of layers and tricks, such as a learned constant.
    with streams.seeded_globally("weights"):
        task.build(config, make_generator, make_discriminator)
    return task


def check_recipe(recipe: Recipe, data: str) -> None:
    """Raises Incompatible if a recipe cannot be trained on a data set. Computes only shapes.

    Raises PluginError if a plugin's part has a bug.
    """
    try:
        setup = build_training(recipe, DATA.make(data), RngStreams(0, META_DEVICE))
        check_weights(setup.task)
        check_batch_norm(setup)
    except (Incompatible, PluginError, KeyboardInterrupt):
        raise
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        reason = str(plugin_failure(error) or error)
        raise Incompatible(f"the recipe cannot be built: {reason}".splitlines()[0]) from error
    except BaseException as error:
        if failure := plugin_failure(error):
            raise failure from error
        raise


def plugin_failure(error: BaseException) -> PluginError | None:
    """Returns an error of a plugin's part as a sentence, or None if no plugin raised it."""
    part = None if isinstance(error, GanbenchError) else find_plugin_part(error)
    return None if part is None else part.failure(error)


def check_weights(task: Task) -> None:
    """Raises Incompatible if the networks of a task have more weights than a machine holds."""
    if (count := sum(weights.numel() for weights in task.parameters())) > MAX_WEIGHTS:
        raise Incompatible(
            f"its networks have {count:,} weights, and at most {MAX_WEIGHTS:,} can be trained: "
            "choose a smaller width"
        )


def check_batch_norm(setup: TrainingSetup) -> None:
    """Raises Incompatible if batch norm would normalize a single vector."""
    vectors = any(isinstance(module, nn.BatchNorm1d) for module in setup.task.modules())
    if vectors and setup.hyperparameters.batch == 1:
        raise Incompatible("batch norm of vectors needs a batch of at least 2, and this one has 1")
