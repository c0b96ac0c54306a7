"""What an extractor made of examples, and what was made of that since."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ganbench.data.base import Mixture
from ganbench.deprecation import with_renamed_attributes
from ganbench.gan.latent_sampler import LatentSampler
from ganbench.renamed import FEATURE_SET_ATTRIBUTES

Tensors = dict[str, Tensor]


MEAN_BLOCK_ROWS = (
    4096  # examples that are copied at a time, where a copy in double precision is needed
)


def mean_in_float64(features: Tensor) -> Tensor:
    """The mean in float64 [D], by blocks: a sum of another precision than its terms copies them."""
    parts = [rows.sum(0, dtype=torch.float64) for rows in features.split(MEAN_BLOCK_ROWS)]
    return torch.stack(parts).sum(0) / len(features)


class Cache:
    """What was made of a sample before, by name: nothing is computed twice while it is kept."""

    def __init__(self) -> None:
        self.entries: dict[Hashable, Tensors] = {}

    def get(self, name: Hashable) -> Tensors | None:
        return self.entries.get(name)

    def put(self, name: Hashable, tensors: Tensors) -> None:
        self.entries[name] = tensors


@with_renamed_attributes(FEATURE_SET_ATTRIBUTES)
@dataclass(eq=False)
class FeatureSet:
    """Features [N, D] and, from extractors that classify, logits [N, K], on the device they came from.

    A copy by `dataclasses.replace` has an empty cache: what was made of other features is not its own.
    """

    features: Tensor
    logits: Tensor | None = None
    images: Tensor | None = None  # as they were extracted: uint8 [N, C, H, W], or points
    labels: Tensor | None = None  # [N]: of reals their classes, of fakes those that were asked for
    mixture: Mixture | None = None  # the law that real points were drawn from
    classes_are_modes: bool = True  # are the logits' classes those of the data?
    held_out: Callable[[], "FeatureSet"] | None = None  # of reals: what nobody trained on
    source: Tensor | None = None  # of fakes: the images that they were made from, as stored
    truth: Tensor | None = None  # of fakes: the images that they should be, as stored
    returned: Tensor | None = None  # of fakes: what they became when they were translated back
    back: "FeatureSet | None" = None  # of translations: those of the other way
    sampler: LatentSampler | None = None  # of fakes: what made them
    cache: Cache = field(init=False, default_factory=Cache)

    def __len__(self) -> int:
        return len(self.features)

    def cached(self, name: Hashable, make: Callable[[], Tensors]) -> Tensors:
        """What was made under this name before, or else what `make` makes now."""
        result = self.cache.get(name)
        if result is None:
            self.cache.put(name, result := make())
        return result
