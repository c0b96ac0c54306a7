"""Feature extraction: the images of a source through an extractor, in cached blocks.

A background thread reads ahead and a pool of threads decodes, so the network does not wait. Only
features are kept in memory. A block of features is cached under the hash of its images' content. An
interrupted extraction therefore continues, and no image is extracted twice.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ganbench.data.image_decoding import Unreadable
from ganbench.evaluation.inputs.base import Source
from ganbench.evaluation.metrics.feature_set import Tensors

from .decoded_blocks import HASH_BYTES, CachedBlock, HashedImage, stages_ahead
from .extractor_runner import ExtractorRunner, check_feature_width
from .freed_memory import keep_freed_memory

Show = Callable[[int, int], None]  # called with the images done and their total


@dataclass(frozen=True, eq=False)
class Extraction:
    """The features of a source's images, with facts of each image."""

    features: Tensor
    logits: Tensor | None
    hashes: Tensor  # of each image's content, uint8 [N, 16]
    extents: Tensor  # stored widths and heights, int32 [N, 2]
    odd: Tensor  # flags of oddities, uint8 [N]
    left_out: tuple[str, ...] = ()  # reasons for images that could not be read
    cached_count: int = 0  # images with cached features

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def copies(self) -> int:
        """The number of images that repeat another one."""
        return len(self) - len(self.hashes.unique(dim=0))

    def content_hash(self) -> str:
        """Returns the hash of all images in their order."""
        return hashlib.sha256(self.hashes.numpy().tobytes()).hexdigest()


class RowCollector:
    """A table of tensors that is filled row by row in its final place.

    No set of rows is in memory twice.
    """

    def __init__(self, most: int):
        self.most, self.count, self.table = most, 0, dict[str, Tensor]()

    def add(self, rows: Tensors) -> None:
        count = len(rows["features"])
        for name, part in rows.items():
            if name not in self.table:
                self.table[name] = part.new_empty(self.most, *part.shape[1:])
            check_feature_width(self.table[name], part)
            self.table[name][self.count : self.count + count] = part
        self.count += count

    def rows_since(self, start: int) -> Tensors:
        return {name: rows[start : self.count] for name, rows in self.table.items()}


@keep_freed_memory()
def extract_source_features(
    source: Source, chosen: Sequence[int], runner: ExtractorRunner, show: Show
) -> Extraction:
    """Returns the features of the chosen images of a source.

    Raises Unreadable at the first image that cannot be read, unless `runner.skip` is set.
    """
    cache, collected = runner.block_cache(), RowCollector(len(chosen))
    left_out: list[str] = []
    cached_count = start = 0  # start is the first row of the current block
    for stage in stages_ahead(source, chosen, runner, cache):
        if isinstance(stage, CachedBlock):
            collected.add(stage.features)
            cached_count += collected.count - start
            start = collected.count
        else:
            left_out += stage.left_out
            if stage.images:
                facts = image_facts(stage.images)
                collected.add(runner.extract(stage.images, source.name) | facts)
            if stage.key:  # the last batch of its block
                if collected.count > start:
                    cache.write_entry(stage.key, collected.rows_since(start))
                start = collected.count
        show(collected.count + len(left_out), len(chosen))
    if not collected.count:
        raise Unreadable(f"{source.name} holds no image that can be read: {left_out[0]}")
    table = collected.rows_since(0)
    hashes, extents, odd = (table[name] for name in ("hashes", "extents", "odd"))
    return Extraction(
        table["features"], table.get("logits"), hashes, extents, odd, tuple(left_out), cached_count
    )


def image_facts(images: Sequence[HashedImage]) -> Tensors:
    hashes = bytearray(b"".join(image.hash for image in images))
    return {
        "hashes": torch.frombuffer(hashes, dtype=torch.uint8).view(len(images), HASH_BYTES),
        "extents": torch.tensor([image.extent for image in images], dtype=torch.int32),
        "odd": torch.tensor([int(image.odd) for image in images], dtype=torch.uint8),
    }
