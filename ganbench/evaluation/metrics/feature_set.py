"""Feature sets: features of examples from an extractor, with a cache of derived tensors."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ganbench.data.base import Mixture
from ganbench.data.bouncing import BouncingLaw
from ganbench.data.captions import Grammar
from ganbench.deprecation import with_renamed_attributes
from ganbench.gan.latent_sampler import LatentSampler
from ganbench.renamed import FEATURE_SET_ATTRIBUTES

Tensors = dict[str, Tensor]


MEAN_BLOCK_ROWS = 4096  # rows per block where a float64 copy is needed


def mean_in_float64(features: Tensor) -> Tensor:
    """Returns the mean in float64 [D].

    It sums blocks of rows, because a sum in another precision copies its terms.
    """
    parts = [rows.sum(0, dtype=torch.float64) for rows in features.split(MEAN_BLOCK_ROWS)]
    return torch.stack(parts).sum(0) / len(features)


class Cache:
    """Tensors derived from a sample, by name, in memory."""

    def __init__(self) -> None:
        self.entries: dict[Hashable, Tensors] = {}

    def get(self, name: Hashable) -> Tensors | None:
        return self.entries.get(name)

    def put(self, name: Hashable, tensors: Tensors) -> None:
        self.entries[name] = tensors


@with_renamed_attributes(FEATURE_SET_ATTRIBUTES)
@dataclass(eq=False)
class FeatureSet:
    """Features [N, D] of a sample, on the device of the extractor.

    Classifying extractors also give logits [N, K]. A copy by `dataclasses.replace` has an empty
    cache, because cached tensors belong to the original features.
    """

    features: Tensor
    logits: Tensor | None = None
    images: Tensor | None = None  # the extractor's inputs: uint8 images or clips, or points
    labels: Tensor | None = None  # [N]: classes of reals; for fakes, the conditioning
    mixture: Mixture | None = None  # the distribution of real points
    classes_are_modes: bool = True  # are the logits' classes the data's own?
    grammar: Grammar | None = None  # of captions, whose numbers are the classes
    sentences: tuple[str, ...] | None = None  # captions, whose numbers are the labels
    # the extractor's features of sentences, if it reads them
    encode_texts: Callable[[Sequence[str]], Tensor] | None = None
    held_out: Callable[[], "FeatureSet"] | None = None  # reals only: the held-out reals
    source: Tensor | None = None  # fakes only: the source images, stored values
    truth: Tensor | None = None  # fakes only: the target images, stored values
    returned: Tensor | None = None  # fakes only: fakes translated back
    back: "FeatureSet | None" = None  # translation only: the other direction
    sampler: LatentSampler | None = None  # fakes only: their generator
    law: BouncingLaw | None = None  # of the motion in real clips
    frames: Callable[[], "FeatureSet"] | None = None  # clips only: all frames, clip by clip
    shuffled: Callable[[], "FeatureSet"] | None = None  # clips only: with shuffled frames
    cache: Cache = field(init=False, default_factory=Cache)

    def __len__(self) -> int:
        return len(self.features)

    def cached(self, name: Hashable, make: Callable[[], Tensors]) -> Tensors:
        """Returns the tensors cached under a name; on a miss, calls `make` and stores its result."""
        result = self.cache.get(name)
        if result is None:
            self.cache.put(name, result := make())
        return result
