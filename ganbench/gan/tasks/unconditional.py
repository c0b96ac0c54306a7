"""One generator turns latents into images; one discriminator judges them (Goodfellow et al., 2014)."""

from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ganbench.data.base import IMAGE
from ganbench.gan.adversarial_batch import Duel
from ganbench.gan.build_config import Blueprint
from ganbench.gan.latent_sampler import Sampler

from .base import Batches, Game, MakeDiscriminator, MakeGenerator


@runtime_checkable
class Styled(Protocol):
    """A generator in two halves: `styles.mapping` makes w of latents, `synthesis` images of w [N, 1, W]."""

    styles: Any
    synthesis: Any


class Unconditional(Game):
    def objection(self, blueprint: Blueprint) -> str | None:
        if list(blueprint.shapes) == [IMAGE]:
            return None
        return f"this game has one domain, and the data have {' and '.join(blueprint.shapes)}"

    def build(
        self,
        blueprint: Blueprint,
        generator: MakeGenerator,
        discriminator: MakeDiscriminator,
    ) -> None:
        self.latent, shape = blueprint.plan.latent, blueprint.shapes[IMAGE]
        self.generators[IMAGE] = generator(IMAGE, blueprint.network.generator(self.latent, shape))
        self.discriminators[IMAGE] = discriminator(IMAGE, shape, blueprint.network.discriminator)

    def latents(self, count: int, random: torch.Generator) -> Tensor:  # [count, ...]
        return torch.randn(count, self.latent, generator=random, device=random.device)

    def play(self, batches: Batches, random: torch.Generator) -> list[Duel]:
        real = batches[IMAGE].images
        latents = self.latents(len(real), random)
        generator, discriminator = self.generators[IMAGE], self.discriminators[IMAGE]
        fake = generator(latents)
        return [Duel(IMAGE, IMAGE, generator, discriminator, latents, real, fake)]  # type: ignore[arg-type]

    def sample(
        self, generators: nn.ModuleDict, sources: Batches, random: torch.Generator
    ) -> dict[str, Tensor]:
        return {IMAGE: generators[IMAGE](self.latents(len(sources[IMAGE].images), random))}

    def sampler(self, generators: nn.ModuleDict) -> Sampler:
        generator = generators[IMAGE]

        def images(latents: Tensor, labels: Tensor | None) -> Tensor:
            made: Tensor = generator(latents) if labels is None else generator(latents, labels)
            return made

        device = next(generator.parameters()).device
        found = Sampler(self.latents, self.latent, images, device)
        if not isinstance(generator, Styled):
            return found
        styled: Any = generator
        return replace(
            found,
            mapping=styled.styles.mapping,
            synthesis=lambda w: styled.synthesis(w[:, None]),
        )
