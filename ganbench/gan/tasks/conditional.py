"""Conditional (Miyato and Koyama, 2018): generator and discriminator receive labels.

The fakes of a step have the labels of its reals, which follow the data's distribution, as in the
paper. So losses and penalties pair a real with a fake of its class. `truncation` draws latents
beyond this bound again at sampling (Brock et al., 2019): images become finer and less varied. 0
turns truncation off.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ganbench.data.base import IMAGE
from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.networks.base import family_name

from .base import Batches, Conditioning, MakeDiscriminator, MakeGenerator
from .unconditional import Unconditional


class Conditional(Unconditional):
    works_on_slices = True
    neutral: ClassVar[dict[str, Any]] = {"truncation": 0.0}
    conditions_each_sample = True
    scores_labels = True

    def __init__(self, truncation: float = 0.0):
        super().__init__()
        self.set_truncation(truncation)

    def set_truncation(self, truncation: float) -> None:
        if truncation < 0:
            raise ValueError(f"truncation must be above 0, or 0 for none, not {truncation}")
        self.truncation = truncation

    def incompatibility(self, config: BuildConfig) -> str | None:
        if not config.classes:
            return "a conditional task needs labels, and the data have none"
        if not config.network.conditional:
            return f"a conditional task needs networks with labels, and {family_name(config.network)} takes none"
        return super().incompatibility(config)

    def build(
        self, config: BuildConfig, generator: MakeGenerator, discriminator: MakeDiscriminator
    ) -> None:
        super().build(with_labels(config), generator, discriminator)

    def make_pairs(self, batches: Batches, random: torch.Generator) -> list[AdversarialBatch]:
        real, labels = batches[IMAGE].images, batches[IMAGE].labels
        latents = self.draw_latents(len(real), random)
        generator, discriminator = self.generators[IMAGE], self.discriminators[IMAGE]
        sides = (latents, real, generator(latents, labels), labels, labels)
        return [AdversarialBatch(IMAGE, IMAGE, generator, discriminator, *sides)]  # type: ignore[arg-type]

    def sample(
        self, generators: nn.ModuleDict, sources: Batches, random: torch.Generator
    ) -> dict[str, Tensor]:
        labels = sources[IMAGE].labels
        latents = self.draw_latents(len(sources[IMAGE].images), random)
        if self.truncation:
            edge = self.truncation
            nn.init.trunc_normal_(latents, 0.0, 1.0, -edge, edge, generator=random)
        return {IMAGE: generators[IMAGE](latents, labels)}

    def conditioning(self, sources: Batches) -> Mapping[str, Conditioning]:
        return {IMAGE: Conditioning(labels=sources[IMAGE].labels)}


def with_labels(config: BuildConfig) -> BuildConfig:
    """Returns the configuration with networks that take the labels of the data."""
    network = replace(config.network, classes=config.classes, captions=config.captions)
    return replace(config, network=network)
