"""Extraction: a source's images through an extractor, a block at a time; what is known is not extracted again.

A thread reads ahead and has others decode, so that the network never waits; only features are kept. A
block of features lies in the cache under the hash of its images' content, so an extraction that was
interrupted goes on, and what was seen before is not seen twice.
"""

import hashlib
import math
import queue
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, NoReturn, TypeVar

import PIL
import torch
from torch import Tensor

from ganbench.data.image_decoding import Unreadable
from ganbench.data.paths import references
from ganbench.evaluation.extractors import EXTRACTORS
from ganbench.evaluation.extractors.base import Extractor
from ganbench.evaluation.inputs.base import Frame, Item, Seen, Source
from ganbench.evaluation.metrics.feature_set import Tensors

from .reference_cache import DiskCache, folder_of, sources

BLOCK = 250  # images of which the features lie in one file
BYTES = 2**27  # of decoded images in a batch, from which on it is not filled further
AHEAD = 2  # batches that wait for the network
DECODING = 1  # the version of how files become pixels
KEPT = 8 * 2**30  # bytes of blocks that are kept on the disk
FOLDER = "blocks"
HASH = 16  # bytes of an image's hash

T = TypeVar("T")
Show = Callable[[int, int], None]  # called with how many images are through, and of how many


@dataclass(frozen=True)
class ExtractorRunner:
    """What looks at images, and how: an extractor, its device, a frame, and how many images at once."""

    extractor: Extractor
    label: str
    device: torch.device
    frame: Frame
    batch: int = 50
    workers: int = 2
    skip: bool = False

    def facts(self) -> dict[str, Any]:
        """All that decides features but the images."""
        return {
            "extractor": [self.label, self.extractor.version, self.extractor.weights()],
            "sources": sources(EXTRACTORS),
            "frame": [self.frame.channels, self.frame.size],
            "decoding": [DECODING, PIL.__version__],
            "batch": self.batch,
            "device": self.device.type,
        }

    def fill(self, shape: tuple[int, int, int]) -> int:
        """How many images of a shape [C, H, W] fill a batch."""
        return min(self.batch, BYTES // self.weight(shape) + 1)

    def weight(self, shape: tuple[int, int, int]) -> int:
        """Bytes of an image of a shape, as it is seen."""
        _, height, width = shape
        return self.frame.channels * (self.frame.size**2 if self.frame.size else height * width)

    def shelf(self) -> DiskCache:
        return DiskCache(folder_of(self.facts()) / FOLDER, torch.device("cpu"))

    def check(self, shape: torch.Size, whose: str) -> None:
        """Raises Unreadable if the extractor sees images of one shape only, and this is another."""
        wanted = self.extractor.shape
        if wanted is not None and tuple(wanted) != tuple(shape):
            raise Unreadable(
                f"{self.label} sees images of {wanted[2]}x{wanted[1]}, and some of {whose} have "
                f"{shape[2]}x{shape[1]}: bring all there by --size {wanted[1]}, or take another extractor"
            )

    def settled(self, item: Item) -> Item:
        """An item that holds no more than is seen of it."""
        if self.frame.size is None:
            return item
        return Settled(item.name, item.digest(), item.seen(self.frame))

    @torch.no_grad()
    def look(self, seen: Sequence[Seen], whose: str) -> Tensors:
        """Features, and logits if there are any; images of one extent at a time, each resized by itself."""
        places: dict[torch.Size, list[int]] = {}
        for place, image in enumerate(seen):
            places.setdefault(image.pixels.shape, []).append(place)
        found: Tensors = {}
        for shape, same in places.items():
            self.check(shape, whose)
            images = torch.stack([seen[place].pixels for place in same])
            features, logits = self.extractor(images.to(self.device))
            for name, rows in (("features", features), ("logits", logits)):
                if rows is not None:
                    whole = found.setdefault(name, torch.empty(len(seen), rows.shape[1]))
                    check_width(whole, rows)
                    whole[same] = rows.float().cpu()
        return found


@dataclass(frozen=True, eq=False)
class Settled:
    """An image that was brought to its frame, and the hash of what it was before."""

    name: str
    hash: bytes
    image: Seen

    def digest(self) -> bytes:
        return self.hash

    def seen(self, frame: Frame) -> Seen:
        return self.image


@dataclass(frozen=True, eq=False)
class Extraction:
    """What an extractor made of a source."""

    features: Tensor
    logits: Tensor | None
    hashes: Tensor  # of each image's content: uint8 [N, 16]
    extents: Tensor  # widths and heights as they were stored: int32 [N, 2]
    odd: Tensor  # flags: uint8 [N]
    left_out: tuple[str, ...] = ()  # what could not be read, and why
    known: int = 0  # images of which the features lay in the cache

    def __len__(self) -> int:
        return len(self.features)

    def content(self) -> str:
        """The hash of all images, in their order."""
        return hashlib.sha256(self.hashes.numpy().tobytes()).hexdigest()


@dataclass(frozen=True, eq=False)
class Looked(Seen):
    """An image and the hash of its content."""

    hash: bytes = b""


@dataclass(frozen=True, eq=False)
class Batch:
    """Some images of a block, decoded; with the last of them its key, and who could not be read."""

    seen: list[Looked]
    key: str = ""
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Known:
    """A block that was extracted before."""

    made: Tensors
    left_out: tuple[str, ...] = ()


def check_width(one: Tensor, other: Tensor) -> None:
    if one.shape[1:] != other.shape[1:]:
        raise Unreadable(
            "images of several sizes have several numbers of features: bring all to one by --size"
        )


class Collected:
    """Rows of a table of tensors, copied to where they stay: no set is in memory twice."""

    def __init__(self, most: int):
        self.most, self.count, self.table = most, 0, dict[str, Tensor]()

    def add(self, rows: Tensors) -> None:
        count = len(rows["features"])
        for name, part in rows.items():
            if name not in self.table:
                self.table[name] = part.new_empty(self.most, *part.shape[1:])
            check_width(self.table[name], part)
            self.table[name][self.count : self.count + count] = part
        self.count += count

    def since(self, start: int) -> Tensors:
        return {name: rows[start : self.count] for name, rows in self.table.items()}


def extracted(
    source: Source, chosen: Sequence[int], eye: ExtractorRunner, show: Show
) -> Extraction:
    """Raises Unreadable at the first image that cannot be read, unless such are skipped."""
    shelf, found = eye.shelf(), Collected(len(chosen))
    left_out: list[str] = []
    known = start = 0  # of the block that is not whole yet
    for stage in staged(source, chosen, eye, shelf):
        if isinstance(stage, Known):
            found.add(stage.made)
            known += found.count - start
        elif stage.seen:
            found.add(eye.look(stage.seen, source.name) | facts_of(stage.seen))
        left_out += stage.left_out
        if isinstance(stage, Known) or stage.key:
            if isinstance(stage, Batch) and found.count > start:
                shelf.write(stage.key, found.since(start))
            start = found.count
        show(found.count + len(left_out), len(chosen))
    if not found.count:
        raise Unreadable(f"{source.name} holds no image that can be read: {left_out[0]}")
    table = found.since(0)
    hashes, extents, odd = (table[name] for name in ("hashes", "extents", "odd"))
    return Extraction(
        table["features"], table.get("logits"), hashes, extents, odd, tuple(left_out), known
    )


def staged(
    source: Source, chosen: Sequence[int], eye: ExtractorRunner, shelf: DiskCache
) -> Iterator[Batch | Known]:
    """The stages, made ahead of the network by a thread; what is generated is made in this one."""
    with ThreadPoolExecutor(max(1, eye.workers)) as pool:
        made = stages(source, chosen, eye, shelf, pool)
        if source.generated or not eye.workers:
            yield from made
        else:
            with silence(), in_background(made, AHEAD) as found:
                yield from found


def facts_of(looked: Sequence[Looked]) -> Tensors:
    hashes = bytearray(b"".join(image.hash for image in looked))
    return {
        "hashes": torch.frombuffer(hashes, dtype=torch.uint8).view(len(looked), HASH),
        "extents": torch.tensor([image.extent for image in looked], dtype=torch.int32),
        "odd": torch.tensor([int(image.odd) for image in looked], dtype=torch.uint8),
    }


def looked_at(item: Item, frame: Frame) -> Looked:
    """All that can be done of an image by another thread than the network's."""
    seen = item.seen(frame)
    rows = seen.pixels.permute(1, 2, 0)  # as they were decoded
    digest = hashlib.sha256(",".join(map(str, rows.shape)).encode())
    digest.update(rows.contiguous().numpy().data)
    return Looked(seen.pixels.contiguous(), seen.extent, seen.odd, digest.digest()[:HASH])


def stages(
    source: Source,
    chosen: Sequence[int],
    eye: ExtractorRunner,
    shelf: DiskCache,
    pool: ThreadPoolExecutor,
) -> Iterator[Batch | Known]:
    """Block by block what is known of it, or its images in batches."""
    for items in blocks(source, chosen, eye, pool):
        digest = hashlib.sha256(b"".join(pool.map(lambda item: digest_or_none(item), items)))
        key = digest.hexdigest()[:32]
        made = shelf.read(key)
        if made is not None and (eye.skip or len(made["features"]) == len(items)):
            touch(shelf, key)
            count = len(items) - len(made["features"])
            yield Known(made, ("an image that was unreadable before",) * count)
            continue
        yield from batches(items, key, eye, pool)


def blocks(
    source: Source, chosen: Sequence[int], eye: ExtractorRunner, pool: ThreadPoolExecutor
) -> Iterator[list[Item]]:
    """A block's images; of large ones in memory fewer, but whole batches: features are the same to the bit."""
    if source.shape is None:
        yield from source.blocks(chosen, BLOCK)
        return
    fill, large = eye.fill(source.shape), BLOCK * math.prod(source.shape) > BYTES
    step = max(1, BYTES // (fill * eye.weight(source.shape))) * fill
    for start in range(0, len(chosen), BLOCK):
        block = chosen[start : start + BLOCK]
        for first in range(0, len(block), step):
            items: list[Item] = []
            for piece in source.blocks(block[first : first + step], step):
                items += pool.map(eye.settled, piece) if large else piece
            yield items


def digest_or_none(item: Item) -> bytes:
    """An item's hash; of one that cannot be read, that of its absence: decoding tells the reason."""
    try:
        return item.digest()
    except Unreadable:
        return bytes(32)


def batches(
    items: list[Item], key: str, eye: ExtractorRunner, pool: ThreadPoolExecutor
) -> Iterator[Batch]:
    left_out: list[str] = []
    seen: list[Looked] = []
    for future in ahead(pool, items, eye):
        try:
            seen.append(future.result())
        except Unreadable as reason:
            if not eye.skip:
                raise
            left_out.append(str(reason))
        if len(seen) == eye.batch or sum(image.pixels.numel() for image in seen) > BYTES:
            yield Batch(seen)
            seen = []
    yield Batch(seen, key, tuple(left_out))


def ahead(
    pool: ThreadPoolExecutor, items: list[Item], eye: ExtractorRunner
) -> Iterator[Future[Looked]]:
    """Each item's decoding, in their order, of which only a few are under way at a time."""
    waiting = iter(items)
    pending = [
        pool.submit(looked_at, item, eye.frame) for item in islice(waiting, 2 * eye.workers + 1)
    ]
    while pending:
        yield pending.pop(0)
        pending += [pool.submit(looked_at, item, eye.frame) for item in islice(waiting, 1)]


@contextmanager
def in_background(produced: Iterator[T], depth: int) -> Iterator[Iterator[T]]:
    """An iterator that another thread runs ahead of us by so many, and no further."""
    waiting: queue.Queue[Callable[[], T]] = queue.Queue(depth)
    stopped = threading.Event()

    def put(entry: Callable[[], T]) -> None:
        while not stopped.is_set():
            try:
                waiting.put(entry, timeout=0.1)
                return
            except queue.Full:
                continue

    def run() -> None:
        try:
            for one in produced:
                put(partial(same, one))
                if stopped.is_set():
                    return
            put(partial(raised, Ended()))
        except BaseException as error:
            put(partial(raised, error))

    def received() -> Iterator[T]:
        while True:
            try:
                one = waiting.get()()
            except Ended:
                return
            yield one

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield received()
    finally:
        stopped.set()
        thread.join()


class Ended(Exception):
    """There is no more of it."""


def same(one: T) -> T:
    return one


def raised(error: BaseException) -> NoReturn:
    raise error


@contextmanager
def silence() -> Iterator[None]:
    """Decoders warn of much in files of other people; what matters is counted and told."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def touch(shelf: DiskCache, key: str) -> None:
    """A block that was used is young again."""
    try:
        shelf.path(key).touch()
    except OSError:
        return


def trim(limit: int = KEPT) -> None:
    """Deletes the blocks that were not used for the longest time, until the rest fit."""
    found = []
    for path in references().glob(f"*/{FOLDER}/*.safetensors"):
        try:
            found.append((path.stat().st_mtime, path.stat().st_size, path))
        except OSError:
            continue
    size = 0
    for _, bytes_of_it, path in sorted(found, reverse=True):
        size += bytes_of_it
        if size > limit:
            path.unlink(missing_ok=True)
