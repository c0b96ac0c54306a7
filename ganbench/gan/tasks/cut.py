"""CUT's game (Park et al., 2020): one translator, whose every patch should know the place that it came from.

A patch of a fake and the patch of its source at the same place should be closer, in features of the
translator's own encoder, than other patches of that source: cross-entropy over so many `places`, weighed
by `patches`. The same of what is in the target domain already, weighed by `identity`, keeps it as it is.
Both are 1 in the paper (FastCUT has 10 and 0) beside the squared distance of scores, which is twice
least_squares. Of the two domains the first is translated into the last.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from ganbench.gan.adversarial_batch import Duel
from ganbench.gan.build_config import Blueprint
from ganbench.gan.networks.discriminator import Shape

from .base import Asked, Batches, Game, MakeDiscriminator, MakeGenerator, Terms

TEMPERATURE = 0.07
WIDTH = 256  # of what patches are compared by
HEADS = "patches"  # what makes that of features, trained with the translator


class Heads(nn.ModuleList):
    """Two layers for each of the encoder's maps: [N, C] => [N, 256], of length 1."""

    def __init__(self, channels: list[int]):
        super().__init__(
            nn.Sequential(nn.Linear(c, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH)) for c in channels
        )

    def forward(self, vectors: list[Tensor]) -> list[Tensor]:
        return [normalize(head(x), dim=-1) for head, x in zip(self, vectors, strict=True)]


class Contrastive(Game):
    def __init__(self, patches: float = 1.0, identity: float = 1.0, places: int = 256):
        super().__init__()
        if patches < 0 or identity < 0 or places < 2:
            raise ValueError("patches and identity must not be below 0, nor places below 2")
        self.patches, self.identity, self.places = patches, identity, places

    def objection(self, blueprint: Blueprint) -> str | None:
        shapes = list(blueprint.shapes.values())
        if len(shapes) != 2:
            return f"translation needs two domains, and the data have {len(shapes)}"
        if shapes[0] != shapes[1]:
            return f"one encoder sees both domains, and they are {shapes[0]} and {shapes[1]}"
        if not blueprint.network.encodes:
            return (
                "patches are compared in maps on the way, and this family's translators tell none"
            )
        return blueprint.network.objection_to_translating(*shapes)

    def build(
        self,
        blueprint: Blueprint,
        generator: MakeGenerator,
        discriminator: MakeDiscriminator,
    ) -> None:
        network, (self.origin, self.target) = blueprint.network, blueprint.shapes
        shape = blueprint.shapes[self.target]
        translator = network.translator(shape, shape)
        heads = Heads(widths(translator, shape))
        self.generators[self.target] = generator(self.target, translator)
        self.generators[HEADS] = generator(HEADS, heads)
        self.discriminators[self.target] = discriminator(self.target, shape, network.discriminator)

    def play(self, batches: Batches, random: torch.Generator) -> list[Duel]:
        name, source = self.target, batches[self.origin].images
        generator, judge = self.generators[name], self.discriminators[name]
        return [Duel(name, name, generator, judge, source, batches[name].images, generator(source))]  # type: ignore[arg-type]

    def generator_terms(self, duels: list[Duel]) -> Terms:
        (duel,) = duels
        if self.patches:
            yield "patches", self.patches * self.strangeness(duel.source, duel.fake)
        if self.identity:
            same = duel.generate(duel.real)
            yield "identity", self.identity * self.strangeness(duel.real, same)

    def strangeness(self, source: Tensor, fake: Tensor) -> Tensor:
        """How badly patches of fakes are told by those of their sources, averaged over maps, in nats."""
        maps = [self.generators[self.target].features(x) for x in (source, fake)]  # type: ignore[operator]
        chosen = list(self.chosen(maps[0]))
        known, asked = (
            self.generators[HEADS](
                [x.flatten(2)[:, :, p].mT for x, p in zip(side, chosen, strict=True)]
            )
            for side in maps
        )
        told = [confusion(ours, theirs.detach()) for ours, theirs in zip(asked, known, strict=True)]
        return torch.stack(told).mean()

    def chosen(self, maps: list[Tensor]) -> Iterator[Tensor]:
        """Places in each map, from torch's global generator, as layers draw."""
        for x in maps:
            yield torch.randperm(x[0, 0].numel(), device=x.device)[: self.places]

    def sample(
        self, generators: nn.ModuleDict, sources: Batches, random: torch.Generator
    ) -> dict[str, Tensor]:
        return {self.target: generators[self.target](sources[self.origin].images)}

    def asked(self, sources: Batches) -> Mapping[str, Asked]:
        origin = sources[self.origin]
        return {self.target: Asked(source=origin.images, truth=origin.truth)}


def confusion(asked: Tensor, known: Tensor) -> Tensor:
    """InfoNCE of vectors of length 1, each against all at the places of its image: [N, P, D] twice => []."""
    alike = asked @ known.mT / TEMPERATURE  # [N, P, P]
    right = torch.arange(alike.shape[1], device=alike.device).expand(len(alike), -1)
    return cross_entropy(alike.flatten(0, 1), right.flatten())


def widths(translator: nn.Module, shape: Shape) -> list[int]:
    """The channels of an encoder's maps; nothing is computed."""
    empty = torch.empty(1, *shape, device="meta")
    return [x.shape[1] for x in deepcopy(translator).to("meta").features(empty)]  # type: ignore[operator]
