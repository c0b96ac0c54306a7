"""Builds a trainer with numerics: bfloat16, memory format, CUDA graphs, compilation."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.data.base import BatchLoader
from ganbench.devices import Numerics
from ganbench.gan.build import Incompatible, TrainingSetup, make_trick_list
from ganbench.gan.networks.discriminator import Discriminator
from ganbench.gan.recipe import Recipe
from ganbench.gan.tricks.base import TrickList
from ganbench.rng import RngStreams

from .budget import Budget
from .graphs import CudaGraphedTrainer, lookahead_reason
from .trainer import Precision, Trainer

MakeTrainer = Callable[[TrainingSetup, BatchLoader, RngStreams, Budget], Trainer]


def make_trainer(
    setup: TrainingSetup,
    loader: BatchLoader,
    streams: RngStreams,
    budget: Budget,
    numerics: Numerics | None = None,
    eager: MakeTrainer = Trainer,
) -> Trainer:
    """Returns a trainer with these numerics; the default is plain float32.

    `eager` makes it, unless the numerics have graphs. It is one process's with any number of GPUs.

    Changes the setup's networks in place. Raises Incompatible if they cannot be computed.
    """
    numerics = numerics or Numerics(streams.device.type)
    if reason := numerics.incompatibility():
        raise Incompatible(reason)
    if numerics.memory_format == "channels_last":
        store_channels_last(setup.task)
    if numerics.dtype == "bfloat16":
        for network in list_networks(setup):
            return_float32(network)
    if numerics.compile:
        compile_networks(setup)
    obstacle = lookahead_reason(setup.trick) if numerics.graph else ""
    make = CudaGraphedTrainer if numerics.graph and not obstacle else eager
    trainer = make(setup, loader, streams, budget)
    if obstacle:
        trainer.notes.append(f"trained without graphs: {obstacle}")
    if numerics.dtype == "bfloat16":
        trainer.precision = make_autocast(streams.device)
    return trainer


CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}  # by rank of weights


def store_channels_last(module: nn.Module) -> None:
    """Stores the weights of convolutions of images and of clips with their channels last."""
    for weights in (*module.parameters(), *module.buffers()):
        if weights.ndim in CHANNELS_LAST:
            weights.data = weights.data.contiguous(memory_format=CHANNELS_LAST[weights.ndim])


def list_networks(setup: TrainingSetup) -> Iterator[nn.Module]:
    """Yields the generators and discriminators of a task."""
    yield from setup.task.generators.values()
    yield from setup.task.discriminators.values()


def make_autocast(device: torch.device) -> Precision:
    """Returns a maker of contexts in which networks compute in bfloat16.

    Casts are not cached: a cast that was made without gradients would lose those of a later pass.
    """
    return lambda: torch.autocast(device.type, torch.bfloat16, cache_enabled=False)


def return_float32(network: nn.Module) -> None:
    """Makes a network return float32, so that losses and penalties are computed in it."""
    if isinstance(network, Discriminator):
        replace_function(network, "features", lambda f: lambda *x: f(*x).float())
        network.head.register_forward_hook(to_float32)
    else:
        network.register_forward_hook(to_float32)


def to_float32(module: nn.Module, inputs: Any, output: Any) -> Any:
    """Returns an output in float32; a generator may return the maps of several layers."""
    if isinstance(output, list):
        return [maps.float() for maps in output]
    return output.float()


def replace_function(
    module: nn.Module, name: str, change: Callable[[Callable[..., Tensor]], Callable[..., Tensor]]
) -> None:
    setattr(module, name, change(getattr(module, name)))


def compile_networks(setup: TrainingSetup) -> None:
    """Compiles generators, and the features and heads of discriminators, by torch.compile.

    Raises Incompatible beside a trick that compiled networks cannot train.
    """
    if reason := compile_obstacle(setup.trick):
        raise Incompatible(reason)
    for network in list_networks(setup):
        if isinstance(network, Discriminator):
            replace_function(network, "features", lambda f: torch.compile(f, dynamic=False))
            network.head.compile(dynamic=False)
        else:
            network.compile(dynamic=False)


def numerics_incompatibility(recipe: Recipe, numerics: Numerics) -> str | None:
    """Returns the reason why a recipe cannot be trained with these numerics, or None."""
    if reason := numerics.incompatibility():
        return reason
    if not numerics.compile:
        return None
    return compile_obstacle(make_trick_list(recipe)) or None


def compile_obstacle(tricks: TrickList) -> str:
    """Returns the reason why a trick does not train compiled networks, or an empty text."""
    for name, trick in tricks.items():
        if trick.needs_double_backward:
            return f"numerics: compile cannot differentiate the gradient of {name}"
        if trick.changes_weights_in_forward:
            return f"numerics: compile cannot contain the power iterations of {name}"
    return ""
