"""Recipe: the specs of a GAN's parts and the hyperparameters of its training."""

from dataclasses import dataclass, field
from typing import Any

from ganbench.deprecation import with_renamed_arguments
from ganbench.gan.losses import LOSSES
from ganbench.gan.networks import NETWORKS
from ganbench.gan.tasks import TASKS
from ganbench.gan.tricks import TRICKS
from ganbench.renamed import RECIPE_ARGUMENTS

from .hyperparameters import Hyperparameters


@with_renamed_arguments(RECIPE_ARGUMENTS)
@dataclass(frozen=True)
class Recipe:
    """A GAN as the specs of its parts. `about` is a sentence for lists and has no effect."""

    about: str
    network: str
    loss: str = "non_saturating"
    tricks: tuple[str, ...] = ()
    hyperparameters: Hyperparameters = field(default_factory=Hyperparameters)
    task: str = "unconditional"

    def identity(self) -> dict[str, Any]:
        """Returns all settings that affect results, as plain data, with tricks in sorted order."""
        return {
            "game": TASKS.identity(self.task),
            "network": NETWORKS.identity(self.network),
            "loss": LOSSES.identity(self.loss),
            "tricks": [TRICKS.identity(text) for text in sorted(map(TRICKS.label, self.tricks))],
            "plan": self.hyperparameters.identity(),
        }
