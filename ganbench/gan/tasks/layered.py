"""Layered (Vondrick et al., 2016): the mask of the foreground should be sparse.

The generator's loss adds `weight · E |m|`, the mean over the places of the mask. The authors' code
adds the weighted sum to the gradient of a sum over the batch.
"""

from typing import Any

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.networks.base import family_name

from .base import Terms
from .unconditional import Unconditional


class Layered(Unconditional):
    works_on_slices = True

    def __init__(self, weight: float = 0.1):
        super().__init__()
        if weight < 0:
            raise ValueError(f"weight must not be below 0, not {weight}")
        self.weight = weight

    def incompatibility(self, config: BuildConfig) -> str | None:
        if not config.network.masks:
            return f"this task weighs masks of a foreground, and {family_name(config.network)} has none"
        return super().incompatibility(config)

    def generator_terms(self, pairs: list[AdversarialBatch]) -> Terms:
        for pair in pairs if self.weight else ():
            generator: Any = pair.generator
            yield "mask", self.weight * generator.masks(pair.source).mean()
