"""Unconditional (Goodfellow et al., 2014): one generator of latents, one discriminator."""

from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ganbench.data.base import IMAGE
from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.batch_slices import draw_rows
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.latent_sampler import LatentSampler

from .base import Batches, MakeDiscriminator, MakeGenerator, Task


@runtime_checkable
class StyledGeneratorLike(Protocol):
    """A generator in two halves, a mapping and a synthesis.

    `styles.mapping` maps latents to w, and `synthesis` maps w [N, 1, W] to images.
    """

    styles: Any
    synthesis: Any


class Unconditional(Task):
    works_on_slices = True

    def incompatibility(self, config: BuildConfig) -> str | None:
        if list(config.shapes) == [IMAGE]:
            return None
        return f"this task needs one domain, and the data have {' and '.join(config.shapes)}"

    def build(
        self,
        config: BuildConfig,
        generator: MakeGenerator,
        discriminator: MakeDiscriminator,
    ) -> None:
        latent, shape = config.hyperparameters.latent, config.shapes[IMAGE]
        self.latent = config.network.count_latents(latent, shape)
        self.generators[IMAGE] = generator(IMAGE, config.network.build_generator(latent, shape))
        self.discriminators[IMAGE] = discriminator(IMAGE, shape, config.network.build_discriminator)

    def draw_latents(self, count: int, random: torch.Generator) -> Tensor:  # [count, ...]
        return draw_rows(torch.randn, (count, self.latent), generator=random, device=random.device)

    def make_pairs(self, batches: Batches, random: torch.Generator) -> list[AdversarialBatch]:
        real = batches[IMAGE].images
        latents = self.draw_latents(len(real), random)
        generator, discriminator = self.generators[IMAGE], self.discriminators[IMAGE]
        fake = generator(latents)
        return [AdversarialBatch(IMAGE, IMAGE, generator, discriminator, latents, real, fake)]  # type: ignore[arg-type]

    def sample(
        self, generators: nn.ModuleDict, sources: Batches, random: torch.Generator
    ) -> dict[str, Tensor]:
        return {IMAGE: generators[IMAGE](self.draw_latents(len(sources[IMAGE].images), random))}

    def latent_sampler(self, generators: nn.ModuleDict) -> LatentSampler:
        generator = generators[IMAGE]

        def make_images(latents: Tensor, labels: Tensor | None) -> Tensor:
            made: Tensor = generator(latents) if labels is None else generator(latents, labels)
            return made

        device = next(generator.parameters()).device
        plain_sampler = LatentSampler(self.draw_latents, self.latent, make_images, device)
        if not isinstance(generator, StyledGeneratorLike):
            return plain_sampler
        styled: Any = generator
        return replace(
            plain_sampler,
            mapping=styled.styles.mapping,
            synthesis=lambda w: styled.synthesis(w[:, None]),
        )
