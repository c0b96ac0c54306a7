"""Feature extraction: the images of a source through an extractor, in cached blocks.

A background thread reads ahead and a pool of threads decodes, so the network does not wait. Only
features are kept in memory. A block of features is cached under the hash of its images' content. An
interrupted extraction therefore continues, and no image is extracted twice.
"""

import hashlib
import math
import queue
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

import PIL
import torch
from torch import Tensor

from ganbench.data.image_decoding import Unreadable
from ganbench.data.paths import cache_root
from ganbench.evaluation.extractors import EXTRACTORS
from ganbench.evaluation.extractors.base import Extractor
from ganbench.evaluation.inputs.base import DecodedImage, Frame, Source, SourceItem
from ganbench.evaluation.metrics.feature_set import Tensors

from .reference_cache import DiskCache, cache_folder_of, hash_sources_of_kind

IMAGES_PER_BLOCK = 250  # images whose features are in one file
MAX_BATCH_BYTES = 2**27  # a batch of more decoded bytes is full
BATCHES_AHEAD = 2  # batches that may wait for the network
DECODING_VERSION = 1  # version of the decoding of files to pixels
MAX_CACHED_BLOCK_BYTES = 8 * 2**30  # limit of all blocks on disk
BLOCKS_FOLDER = "blocks"
HASH_BYTES = 16  # per image

T = TypeVar("T")
Show = Callable[[int, int], None]  # called with the images done and their total


@dataclass(frozen=True)
class ExtractorRunner:
    """An extractor with its device, the frame of its inputs and its batch size.

    `workers` is the number of decoding threads. `skip` leaves out images that cannot be read.
    """

    extractor: Extractor
    label: str
    device: torch.device
    frame: Frame
    batch: int = 50
    workers: int = 2
    skip: bool = False

    def cache_facts(self) -> dict[str, Any]:
        """Returns all facts that determine features, except the images."""
        return {
            "extractor": [self.label, self.extractor.version, self.extractor.weights_hash()],
            "sources": hash_sources_of_kind(EXTRACTORS),
            "frame": [self.frame.channels, self.frame.size],
            "decoding": [DECODING_VERSION, PIL.__version__],
            "batch": self.batch,
            "device": self.device.type,
        }

    def images_per_batch(self, shape: tuple[int, int, int]) -> int:
        """Returns the number of images of a shape [C, H, W] that fill a batch."""
        return min(self.batch, MAX_BATCH_BYTES // self.bytes_per_image(shape) + 1)

    def bytes_per_image(self, shape: tuple[int, int, int]) -> int:
        """Returns the bytes of an image of a shape [C, H, W] after framing."""
        _, height, width = shape
        return self.frame.channels * (self.frame.size**2 if self.frame.size else height * width)

    def block_cache(self) -> DiskCache:
        return DiskCache(cache_folder_of(self.cache_facts()) / BLOCKS_FOLDER, torch.device("cpu"))

    def check_shape(self, shape: torch.Size, whose: str) -> None:
        """Raises Unreadable if the extractor does not accept images of this shape."""
        wanted = self.extractor.shape
        if wanted is not None and tuple(wanted) != tuple(shape):
            raise Unreadable(
                f"{self.label} needs images of {wanted[2]}x{wanted[1]}, but some of {whose} have "
                f"{shape[2]}x{shape[1]}: resize all with --size {wanted[1]}, or use another extractor"
            )

    def settle_item(self, item: SourceItem) -> SourceItem:
        """Returns the item decoded to its frame, which frees the memory of the original.

        Without a frame size, returns the item itself.
        """
        if self.frame.size is None:
            return item
        return SettledItem(item.name, item.digest(), item.decode(self.frame))

    @torch.no_grad()
    def extract(self, decoded: Sequence[DecodedImage], whose: str) -> Tensors:
        """Returns "features" [N, D] and, for a classifier, "logits" [N, K].

        Images of one shape are extracted together; each image is resized separately.
        """
        places: dict[torch.Size, list[int]] = {}
        for place, image in enumerate(decoded):
            places.setdefault(image.pixels.shape, []).append(place)
        tensors: Tensors = {}
        for shape, same in places.items():
            self.check_shape(shape, whose)
            images = torch.stack([decoded[place].pixels for place in same])
            features, logits = self.extractor(images.to(self.device))
            for name, rows in (("features", features), ("logits", logits)):
                if rows is not None:
                    table = tensors.setdefault(name, torch.empty(len(decoded), rows.shape[1]))
                    check_feature_width(table, rows)
                    table[same] = rows.float().cpu()
        return tensors


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

    def content_hash(self) -> str:
        """Returns the hash of all images in their order."""
        return hashlib.sha256(self.hashes.numpy().tobytes()).hexdigest()


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
    """The cached features of a block."""

    features: Tensors
    left_out: tuple[str, ...] = ()


def check_feature_width(one: Tensor, other: Tensor) -> None:
    if one.shape[1:] != other.shape[1:]:
        raise Unreadable(
            "images of different sizes have different numbers of features: resize all to one size with --size"
        )


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
        elif stage.images:
            collected.add(runner.extract(stage.images, source.name) | image_facts(stage.images))
        left_out += stage.left_out
        if isinstance(stage, CachedBlock) or stage.key:
            if isinstance(stage, DecodedBatch) and collected.count > start:
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


def image_facts(images: Sequence[HashedImage]) -> Tensors:
    hashes = bytearray(b"".join(image.hash for image in images))
    return {
        "hashes": torch.frombuffer(hashes, dtype=torch.uint8).view(len(images), HASH_BYTES),
        "extents": torch.tensor([image.extent for image in images], dtype=torch.int32),
        "odd": torch.tensor([int(image.odd) for image in images], dtype=torch.uint8),
    }


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
        digest = hashlib.sha256(b"".join(pool.map(lambda item: hash_or_absence(item), items)))
        key = digest.hexdigest()[:32]
        cached = cache.read_entry(key)
        if cached is not None and (runner.skip or len(cached["features"]) == len(items)):
            touch_block(cache, key)
            count = len(items) - len(cached["features"])
            yield CachedBlock(cached, ("an image that was unreadable before",) * count)
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
    fill, large = (
        runner.images_per_batch(source.shape),
        IMAGES_PER_BLOCK * math.prod(source.shape) > MAX_BATCH_BYTES,
    )
    step = max(1, MAX_BATCH_BYTES // (fill * runner.bytes_per_image(source.shape))) * fill
    for start in range(0, len(chosen), IMAGES_PER_BLOCK):
        block = chosen[start : start + IMAGES_PER_BLOCK]
        for first in range(0, len(block), step):
            items: list[SourceItem] = []
            for piece in source.iter_blocks(block[first : first + step], step):
                items += pool.map(runner.settle_item, piece) if large else piece
            yield items


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
        if (
            len(decoded) == runner.batch
            or sum(image.pixels.numel() for image in decoded) > MAX_BATCH_BYTES
        ):
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
def iter_in_background(produced: Iterator[T], depth: int) -> Iterator[Iterator[T]]:
    """Yields an iterator that a thread runs ahead by at most `depth` values."""
    ahead = ReadAhead(produced, depth)
    ahead.thread.start()
    try:
        yield ahead.receive()
    finally:
        ahead.stopped.set()
        ahead.thread.join()


class EndOfStream:
    """The last entry of the queue, with the error that ended the iterator, if any."""

    def __init__(self, error: BaseException | None = None):
        self.error = error


class ReadAhead(Generic[T]):
    """Runs an iterator in a thread and passes its values through a queue."""

    def __init__(self, produced: Iterator[T], depth: int):
        self.produced = produced
        self.queue: queue.Queue[T | EndOfStream] = queue.Queue(depth)
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.produce, daemon=True)

    def produce(self) -> None:
        """Runs in the thread: puts all values and the end; returns early once stopped."""
        try:
            for value in self.produced:
                self.put(value)
                if self.stopped.is_set():
                    return
            self.put(EndOfStream())
        except BaseException as error:
            self.put(EndOfStream(error))

    def put(self, entry: T | EndOfStream) -> None:
        """Waits for room in the queue, unless the receiver has stopped."""
        is_put = False
        while not is_put and not self.stopped.is_set():
            with suppress(queue.Full):
                self.queue.put(entry, timeout=0.1)
                is_put = True

    def receive(self) -> Iterator[T]:
        """Yields the values in order; raises the iterator's error."""
        while not isinstance(entry := self.queue.get(), EndOfStream):
            yield entry
        if entry.error is not None:
            raise entry.error


@contextmanager
def silence_decoders() -> Iterator[None]:
    """Silences the decoders' warnings, which are frequent for files of other origin.

    The relevant oddities are counted and reported as notes.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def touch_block(cache: DiskCache, key: str) -> None:
    """Marks a block as recently used."""
    try:
        cache.path_of_entry(key).touch()
    except OSError:
        return


def trim_blocks(limit: int = MAX_CACHED_BLOCK_BYTES) -> None:
    """Deletes the least recently used blocks until the rest fits into `limit` bytes."""
    blocks = []
    for path in cache_root().glob(f"*/{BLOCKS_FOLDER}/*.safetensors"):
        try:
            blocks.append((path.stat().st_mtime, path.stat().st_size, path))
        except OSError:
            continue
    size = 0
    for _, bytes_of_it, path in sorted(blocks, reverse=True):
        size += bytes_of_it
        if size > limit:
            path.unlink(missing_ok=True)
