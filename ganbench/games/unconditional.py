"""One generator turns latents into images; one discriminator judges them (Goodfellow et al., 2014)."""

import torch
from torch import Tensor, nn

from ..blueprint import Blueprint
from ..data.base import IMAGE
from ..duel import Duel
from .base import Batches, Game, MakeDiscriminator, MakeGenerator


class Unconditional(Game):
    def objection(self, blueprint: Blueprint) -> str | None:
        if list(blueprint.shapes) == [IMAGE]:
            return None
        return f"an unconditional game has one domain, not {' and '.join(blueprint.shapes)}"

    def build(
        self,
        blueprint: Blueprint,
        generator: MakeGenerator,
        discriminator: MakeDiscriminator,
    ) -> None:
        self.latent, shape = blueprint.plan.latent, blueprint.shapes[IMAGE]
        self.generators[IMAGE] = generator(IMAGE, blueprint.network.generator(self.latent, shape))
        self.discriminators[IMAGE] = discriminator(IMAGE, shape, blueprint.network.discriminator)

    def play(self, batches: Batches, random: torch.Generator) -> list[Duel]:
        real = batches[IMAGE].images
        latents = torch.randn(len(real), self.latent, generator=random, device=real.device)
        generator, discriminator = self.generators[IMAGE], self.discriminators[IMAGE]
        fake = generator(latents)
        return [Duel(IMAGE, IMAGE, generator, discriminator, latents, real, fake)]  # type: ignore[arg-type]

    def sample(
        self, generators: nn.ModuleDict, sources: Batches, random: torch.Generator
    ) -> dict[str, Tensor]:
        count = len(sources[IMAGE].images)
        latents = torch.randn(count, self.latent, generator=random, device=random.device)
        return {IMAGE: generators[IMAGE](latents)}
