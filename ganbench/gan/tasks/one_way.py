"""One-way translation: a generator translates the first domain of the data to the second."""

import torch
from torch import Tensor, nn

from ganbench.gan.adversarial_batch import AdversarialBatch

from .base import Batches, Task


class OneWayTranslation(Task):
    """Base class of such tasks: `build` of a subclass names the domains `origin` and `target`."""

    origin: str
    target: str

    def make_pairs(self, batches: Batches, random: torch.Generator) -> list[AdversarialBatch]:
        name, source = self.target, batches[self.origin].images
        generator, discriminator = self.generators[name], self.discriminators[name]
        real, fake = batches[name].images, generator(source)
        pair = AdversarialBatch(name, name, generator, discriminator, source, real, fake)  # type: ignore[arg-type]
        return [pair]

    def sample(
        self, generators: nn.ModuleDict, sources: Batches, random: torch.Generator
    ) -> dict[str, Tensor]:
        return {self.target: generators[self.target](sources[self.origin].images)}
