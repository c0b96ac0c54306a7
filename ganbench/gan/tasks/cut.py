"""CUT (Park et al., 2020): one translator with a contrastive loss on patches.

In features of the translator's encoder, a patch of a fake should resemble the source's patch at the
same place. It should resemble other patches of that source less. The term is the cross-entropy over
`places` places, weighted by `patches`. The same term on images of the target domain, weighted by
`identity`, keeps them unchanged. Both weights are 1 in the paper (10 and 0 in FastCUT), beside the
squared distance of scores, which is twice least_squares. The authors' code halves the sum of both
terms. The first domain is translated into the second.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from ganbench.gan.adversarial_batch import AdversarialBatch
from ganbench.gan.build_config import BuildConfig
from ganbench.gan.networks.discriminator import Shape

from .base import Batches, Conditioning, MakeDiscriminator, MakeGenerator, Terms
from .one_way import OneWayTranslation

CONTRASTIVE_TEMPERATURE = 0.07
PATCH_EMBEDDING_WIDTH = 256  # numbers per patch
PATCH_HEADS_NAME = "patches"  # key of the heads among the generators


class PatchEmbeddingHeads(nn.ModuleList):
    """Two layers for each map of the encoder: [N, C] => [N, 256], scaled to length 1."""

    def __init__(self, channels: list[int]):
        super().__init__(
            nn.Sequential(
                nn.Linear(c, PATCH_EMBEDDING_WIDTH),
                nn.ReLU(),
                nn.Linear(PATCH_EMBEDDING_WIDTH, PATCH_EMBEDDING_WIDTH),
            )
            for c in channels
        )

    def forward(self, vectors: list[Tensor]) -> list[Tensor]:
        return [normalize(head(x), dim=-1) for head, x in zip(self, vectors, strict=True)]


class Contrastive(OneWayTranslation):
    works_on_slices = True

    def __init__(self, patches: float = 1.0, identity: float = 1.0, places: int = 256):
        super().__init__()
        if patches < 0 or identity < 0 or places < 2:
            raise ValueError("patches and identity must not be below 0, nor places below 2")
        self.patches, self.identity, self.places = patches, identity, places

    def incompatibility(self, config: BuildConfig) -> str | None:
        shapes = list(config.shapes.values())
        if len(shapes) != 2:
            return f"translation needs two domains, and the data have {len(shapes)}"
        if shapes[0] != shapes[1]:
            return (
                f"one encoder reads both domains, and their shapes are {shapes[0]} and {shapes[1]}"
            )
        if not config.network.encodes:
            return (
                "patches are compared in encoder features, and this family's translators have none"
            )
        return config.network.translation_incompatibility(*shapes)

    def build(
        self,
        config: BuildConfig,
        generator: MakeGenerator,
        discriminator: MakeDiscriminator,
    ) -> None:
        network, (self.origin, self.target) = config.network, config.shapes
        shape = config.shapes[self.target]
        translator = network.build_translator(shape, shape)
        heads = PatchEmbeddingHeads(encoder_widths(translator, shape))
        self.generators[self.target] = generator(self.target, translator)
        self.generators[PATCH_HEADS_NAME] = generator(PATCH_HEADS_NAME, heads)
        self.discriminators[self.target] = discriminator(
            self.target, shape, network.build_discriminator
        )

    def generator_terms(self, pairs: list[AdversarialBatch]) -> Terms:
        (pair,) = pairs
        if self.patches:
            yield "patches", self.patches * self.patch_loss(pair.source, pair.fake)
        if self.identity:
            same = pair.generate(pair.real)
            yield "identity", self.identity * self.patch_loss(pair.real, same)

    def patch_loss(self, source: Tensor, fake: Tensor) -> Tensor:
        """Computes the contrastive loss of patches, averaged over maps, in nats."""
        maps = [self.generators[self.target].features(x) for x in (source, fake)]  # type: ignore[operator]
        chosen = list(self.choose_places(maps[0]))
        source_vectors, fake_vectors = (
            self.generators[PATCH_HEADS_NAME](
                [x.flatten(2)[:, :, p].mT for x, p in zip(side, chosen, strict=True)]
            )
            for side in maps
        )
        losses = [
            info_nce(query, key.detach())
            for query, key in zip(fake_vectors, source_vectors, strict=True)
        ]
        return torch.stack(losses).mean()

    def choose_places(self, maps: list[Tensor]) -> Iterator[Tensor]:
        """Draws places in each map from torch's global generator, as layers do."""
        for x in maps:
            yield torch.randperm(x[0, 0].numel(), device=x.device)[: self.places]

    def conditioning(self, sources: Batches) -> Mapping[str, Conditioning]:
        origin = sources[self.origin]
        return {self.target: Conditioning(source=origin.images, truth=origin.truth)}


def info_nce(queries: Tensor, keys: Tensor) -> Tensor:
    """Computes InfoNCE of vectors of length 1: [N, P, D] twice => [], in nats.

    Each query is compared with the keys at all places of its image.
    """
    alike = queries @ keys.mT / CONTRASTIVE_TEMPERATURE  # [N, P, P]
    right = torch.arange(alike.shape[1], device=alike.device).expand(len(alike), -1)
    return cross_entropy(alike.flatten(0, 1), right.flatten())


def encoder_widths(translator: nn.Module, shape: Shape) -> list[int]:
    """Returns the channels of the encoder's maps. Computes only shapes."""
    empty = torch.empty(1, *shape, device="meta")
    return [x.shape[1] for x in deepcopy(translator).to("meta").features(empty)]  # type: ignore[operator]
