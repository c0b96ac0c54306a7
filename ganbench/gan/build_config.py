"""A blueprint: all that is declared of a training before anything of it is built."""

from collections.abc import Mapping
from dataclasses import dataclass

from ganbench.gan.losses.base import Loss
from ganbench.gan.networks.base import Network
from ganbench.gan.networks.discriminator import Shape

from .hyperparameters import Hyperparameters


@dataclass(frozen=True)
class BuildConfig:
    """What objections are asked of: everything in it is final, with every trick's say included."""

    task: str
    network: Network
    loss: Loss
    hyperparameters: Hyperparameters
    shapes: Mapping[str, Shape]  # of the data, one a domain
    classes: int  # 0: the data have no labels
    tricks: tuple[str, ...]  # the names of all tricks, in the chain's order
