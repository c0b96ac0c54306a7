"""The resolved configuration of a training: all tricks applied, nothing built yet."""

from collections.abc import Mapping
from dataclasses import dataclass

from ganbench.data.captions import Captions
from ganbench.deprecation import with_renamed_attributes
from ganbench.gan.losses.base import Loss
from ganbench.gan.networks.base import Network
from ganbench.gan.networks.discriminator import Shape
from ganbench.renamed import BUILD_CONFIG_ATTRIBUTES

from .hyperparameters import Hyperparameters


@with_renamed_attributes(BUILD_CONFIG_ATTRIBUTES)
@dataclass(frozen=True)
class BuildConfig:
    """The final configuration. Networks, tasks and tricks check it for incompatibilities."""

    task: str
    network: Network
    loss: Loss
    hyperparameters: Hyperparameters
    shapes: Mapping[str, Shape]  # shapes of the data, by domain
    classes: int  # the number of classes; 0 if the data have no labels
    tricks: tuple[str, ...]  # the names of all tricks, in the order in which they run
    captions: Captions | None = None  # the sentences of labels, if they have any
    has_targets: bool = False  # data of two domains have known translations
