"""Blocks of a source's images, decoded by a pool of threads, or their cached features.

A block whose features are cached is not decoded.
"""

import hashlib
import math
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice

from ganbench.data.image_decoding import Unreadable
from ganbench.evaluation.inputs.base import DecodedImage, Frame, Source, SourceItem
from ganbench.evaluation.metrics.feature_set import Tensors

from .block_cache import touch_block
from .extractor_runner import ExtractorRunner
from .read_ahead import iter_in_background
from .reference_cache import DiskCache

IMAGES_PER_BLOCK = 250  # with their features in one file
BATCHES_AHEAD = 2  # batches that may wait for the network
HASH_BYTES = 16  # per image


@dataclass(frozen=True, eq=False)
class SettledItem:
    """An image decoded to its frame, with the hash of the original."""

    name: str
    hash: bytes
    image: DecodedImage

    def digest(self) -> bytes:
        return self.hash

    def decode(self, frame: Frame) -> DecodedImage:
        return self.image


@dataclass(frozen=True, eq=False)
class HashedImage(DecodedImage):
    """A decoded image with the hash of its content."""

    hash: bytes = b""


@dataclass(frozen=True, eq=False)
class DecodedBatch:
    """A batch of decoded images of a block.

    The last batch of a block has the block's key and the reasons for images that were left out.
    """

    images: list[HashedImage]
    key: str = ""
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class CachedBlock:
    """The cached features of a block, all of whose images could be read."""

    features: Tensors


def stages_ahead(
    source: Source, chosen: Sequence[int], runner: ExtractorRunner, cache: DiskCache
) -> Iterator[DecodedBatch | CachedBlock]:
    """Yields the stages of all blocks; a thread prepares them ahead of the network.

    Images that a user's code makes are read in the calling thread.
    """
    with ThreadPoolExecutor(max(1, runner.workers)) as pool:
        stages = iter_stages(source, chosen, runner, cache, pool)
        if source.runs_user_code or not runner.workers:
            yield from stages
        else:
            with silence_decoders(), iter_in_background(stages, BATCHES_AHEAD) as found:
                yield from found


def decode_and_hash(item: SourceItem, frame: Frame) -> HashedImage:
    """Decodes and hashes an image; runs in the threads of the pool."""
    decoded = item.decode(frame)
    rows = decoded.pixels.permute(1, 2, 0)  # [H, W, C], as decoded
    digest = hashlib.sha256(",".join(map(str, rows.shape)).encode())
    digest.update(rows.contiguous().numpy().data)
    return HashedImage(
        decoded.pixels.contiguous(), decoded.extent, decoded.odd, digest.digest()[:HASH_BYTES]
    )


def iter_stages(
    source: Source,
    chosen: Sequence[int],
    runner: ExtractorRunner,
    cache: DiskCache,
    pool: ThreadPoolExecutor,
) -> Iterator[DecodedBatch | CachedBlock]:
    """Yields for each block its cached features, or its images in decoded batches."""
    for items in iter_item_blocks(source, chosen, runner, pool):
        digest = hashlib.sha256(b"".join(pool.map(hash_or_absence, items)))
        key = digest.hexdigest()[:32]
        cached = cache.read_entry(key)
        # A block with unreadable images is decoded again, so that they are named.
        if cached is not None and len(cached["features"]) == len(items):
            touch_block(cache, key)
            yield CachedBlock(cached)
            continue
        yield from iter_decoded_batches(items, key, runner, pool)


def iter_item_blocks(
    source: Source, chosen: Sequence[int], runner: ExtractorRunner, pool: ThreadPoolExecutor
) -> Iterator[list[SourceItem]]:
    """Yields the items of each block.

    Blocks of large images in memory are split into whole batches, so the features stay the same to
    the bit.
    """
    if source.shape is None:
        yield from source.iter_blocks(chosen, IMAGES_PER_BLOCK)
        return
    large = IMAGES_PER_BLOCK * math.prod(source.shape) > runner.max_batch_bytes
    step = runner.images_at_once(source.shape)
    settle = partial(settle_item, frame=runner.frame)
    for start in range(0, len(chosen), IMAGES_PER_BLOCK):
        block = chosen[start : start + IMAGES_PER_BLOCK]
        for first in range(0, len(block), step):
            items: list[SourceItem] = []
            for piece in source.iter_blocks(block[first : first + step], step):
                items += pool.map(settle, piece) if large else piece
            yield items


def settle_item(item: SourceItem, frame: Frame) -> SourceItem:
    """Returns the item decoded to its frame, which frees the memory of the original.

    Without a frame size, returns the item itself.
    """
    if frame.size is None:
        return item
    return SettledItem(item.name, item.digest(), item.decode(frame))


def hash_or_absence(item: SourceItem) -> bytes:
    """Returns an item's hash, or zeros if it cannot be read.

    Decoding reports the reason later.
    """
    try:
        return item.digest()
    except Unreadable:
        return bytes(32)


def iter_decoded_batches(
    items: list[SourceItem], key: str, runner: ExtractorRunner, pool: ThreadPoolExecutor
) -> Iterator[DecodedBatch]:
    left_out: list[str] = []
    decoded: list[HashedImage] = []
    for future in decode_ahead(pool, items, runner):
        try:
            decoded.append(future.result())
        except Unreadable as reason:
            if not runner.skip:
                raise
            left_out.append(str(reason))
        if runner.is_full(decoded):
            yield DecodedBatch(decoded)
            decoded = []
    yield DecodedBatch(decoded, key, tuple(left_out))


def decode_ahead(
    pool: ThreadPoolExecutor, items: list[SourceItem], runner: ExtractorRunner
) -> Iterator[Future[HashedImage]]:
    """Yields each item's decoding in order, with only a few decodings in progress."""
    waiting = iter(items)
    pending = [
        pool.submit(decode_and_hash, item, runner.frame)
        for item in islice(waiting, 2 * runner.workers + 1)
    ]
    while pending:
        yield pending.pop(0)
        pending += [pool.submit(decode_and_hash, item, runner.frame) for item in islice(waiting, 1)]


@contextmanager
def silence_decoders() -> Iterator[None]:
    """Silences the decoders' warnings, which are frequent for files of other origin.

    The relevant oddities are counted and reported as notes.
    """
    with warnings.catch_warnings(action="ignore"):
        yield
