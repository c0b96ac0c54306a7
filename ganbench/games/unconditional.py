"""One generator turns latents into images; one discriminator judges them (Goodfellow et al., 2014)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..blueprint import Blueprint
from ..data.base import IMAGE, Batch
from ..duel import Duel
from .base import Game, MakeDiscriminator, MakeGenerator


class Unconditional(Game):
    def build(
        self,
        blueprint: Blueprint,
        generator: MakeGenerator,
        discriminator: MakeDiscriminator,
    ) -> None:
        self.latent, shape = blueprint.plan.latent, blueprint.shapes[IMAGE]
        self.generators[IMAGE] = generator(IMAGE, blueprint.network.generator(self.latent, shape))
        self.discriminators[IMAGE] = discriminator(IMAGE, shape)

    def play(self, batches: Mapping[str, Batch], random: torch.Generator) -> list[Duel]:
        real = batches[IMAGE].images
        latents = torch.randn(len(real), self.latent, generator=random, device=real.device)
        generator, discriminator = self.generators[IMAGE], self.discriminators[IMAGE]
        fake = generator(latents)
        return [Duel(IMAGE, IMAGE, generator, discriminator, latents, real, fake)]  # type: ignore[arg-type]

    def sample(
        self,
        generators: nn.ModuleDict,
        count: int,
        random: torch.Generator,
        labels: Tensor | None = None,
    ) -> Tensor:
        latents = torch.randn(count, self.latent, generator=random, device=random.device)
        return generators[IMAGE](latents)
