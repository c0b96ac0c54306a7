"""Sources from Python objects: lists, Datasets, DataLoaders and other iterables.

An image is read from its object in the calling thread, because the object is the user's code. Before
each reading torch's global generator is seeded, so that random transforms are the same in every pass.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from types import SimpleNamespace
from typing import Any, cast

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import DataLoader

from ganbench.data.image_decoding import (
    Odd,
    OpenedImage,
    Unreadable,
    find_oddities,
    refuse_what_would_change,
)
from ganbench.data.image_files import read_small_file
from ganbench.files import expand_home
from ganbench.rng import RngStreams

from .array_files import MemoryRows, RowTable, select_arrays
from .arrays import MAX_ARRAY_BYTES_AT_ONCE, source_of_arrays
from .base import DecodedImage, Frame, PixelItem, Source, SourceItem, VectorSource, fit_to_frame
from .decoding import EncodedItem
from .object_images import (
    BATCH_AXES,
    find_images,
    images_of_entry,
    is_array,
    is_path,
    rank_of,
    to_tensor,
)
from .pixel_range import (
    AUTO_RANGE,
    ValueSpan,
    arrange_channels_first,
    check_pixel_dtype,
    describe_range,
    detect_range,
    floats_to_uint8,
    measure_span,
)
from .user_code import user_code

MIN_IMAGES = 10  # a shorter list is no set of images
READING_STREAM = "reading"
MAX_HELD_BYTES = 2**31  # of the images of an iterator, which are held in memory
END_OF_ENTRIES = object()  # None may be an entry of an iterator


@dataclass(frozen=True, eq=False)
class PictureItem:
    """A PIL image, decoded like a file."""

    name: str
    opened: OpenedImage

    def digest(self) -> bytes:
        image = self.opened.image
        facts = repr((image.mode, image.size, image.getpalette())).encode()
        return hashlib.sha256(facts + image.tobytes()).digest()

    def decode(self, frame: Frame) -> DecodedImage:
        return DecodedImage(
            fit_to_frame(self.opened.image, frame), self.opened.extent, self.opened.odd
        )


@dataclass(frozen=True, eq=False)
class UnreadableItem:
    """An entry that could not be read, with the reason."""

    name: str
    reason: Unreadable

    def digest(self) -> bytes:
        raise self.reason

    def decode(self, frame: Frame) -> DecodedImage:
        raise self.reason


class ObjectSource(Source):
    """The base class of sources that read images from Python objects, one by one."""

    runs_user_code = True

    def __init__(self, name: str, length: int, seed: int, range_name: str):
        super().__init__(name)
        if not length:
            raise Unreadable(f"{name} is empty")
        self.length, self.range_name, self.range = length, range_name, ""
        self.streams = RngStreams(seed, torch.device("cpu"))

    def __len__(self) -> int:
        return self.length

    def iter_images(self, chosen: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """Yields ascending indices and their images, or the Unreadable in the image's place."""
        raise NotImplementedError

    @contextmanager
    def reading(self, *address: str | int) -> Iterator[None]:
        """Runs the object's own code, seeded, and explains its errors."""
        place = "".join(f"[{part}]" for part in address if isinstance(part, int))
        seeded: AbstractContextManager[None] = self.streams.seeded_globally(
            READING_STREAM, *address
        )
        with user_code(f"{self.name}{place} raised"), seeded:
            yield

    def settle_range(self, first: Any) -> None:
        """Finds the range of float images from the values of all images."""
        if not is_array(first) or not to_tensor(first, self.name).is_floating_point():
            return
        span = self.value_span() if self.range_name == AUTO_RANGE else None
        self.range = self.range_name if span is None else detect_range(span, AUTO_RANGE, self.name)
        self.notes = (*self.notes, describe_range(self.range, span))

    def value_span(self) -> ValueSpan:
        """Returns the span of all arrays that are finite."""
        images = (image for _, image in self.iter_images(range(len(self))) if is_array(image))
        rows = (to_tensor(image, self.name)[None] for image in images)
        spans = [measure_span(row, self.name) for row in rows if row.isfinite().all()]
        if not spans:
            raise Unreadable(f"{self.name}: all images have values that are not finite")
        return ValueSpan(min(s.low for s in spans), max(s.high for s in spans))

    def iter_blocks(self, chosen: Sequence[int], size: int) -> Iterator[list[SourceItem]]:
        items: list[SourceItem] = []
        held = 0
        for number, image in self.iter_images(chosen):
            items.append(self.make_item(f"{self.name}[{number}]", image))
            held += bytes_of_image(image)
            if len(items) == size or held > MAX_ARRAY_BYTES_AT_ONCE:
                yield items
                items, held = [], 0
        if items:
            yield items

    def make_item(self, name: str, image: Any) -> SourceItem:
        try:
            if isinstance(image, Unreadable):
                return UnreadableItem(name, image)
            if isinstance(image, bytes):
                return EncodedItem(name, lambda: image)
            if is_path(image):
                path = expand_home(os.fspath(image))
                return EncodedItem(str(path), partial(read_small_file, path))
            if isinstance(image, Image.Image):
                return PictureItem(name, open_picture(name, image))
            return PixelItem(name, self.pixels_of(image, name))
        except Unreadable as reason:
            return UnreadableItem(name, reason)

    def pixels_of(self, image: Any, name: str) -> Tensor:
        """Returns an array of one image as uint8 [C, H, W]."""
        rows = to_tensor(image, name).cpu()[None]
        check_pixel_dtype(rows, name)
        rows = arrange_channels_first(rows, name)
        if rows.is_floating_point():
            if not self.range:
                raise Unreadable(f"{name} holds floats, but the first image does not")
            measure_span(rows, name)  # raises for values that are not finite
            rows = floats_to_uint8(rows, self.range)
        return rows[0]


class EntriesSource(ObjectSource):
    """A source of a list or a Dataset: entries by their index."""

    def __init__(self, name: str, entries: Any, seed: int, range_name: str):
        super().__init__(name, len(entries), seed, range_name)
        self.entries, self.is_plain = entries, isinstance(entries, list | tuple)

    def iter_images(self, chosen: Sequence[int]) -> Iterator[tuple[int, Any]]:
        for number in chosen:
            try:
                yield number, self.read_image(number)
            except Unreadable as reason:
                yield number, reason

    def read_image(self, number: int) -> Any:
        if self.is_plain:
            entry = self.entries[number]
        else:
            with self.reading(number):
                entry = self.entries[number]
        name = f"{self.name}[{number}]"
        images = images_of_entry(entry, name)
        if len(images) != 1:
            raise Unreadable(f"{name} holds {len(images)} images: pass a Dataset of one per entry")
        return images[0]


class LoaderSource(ObjectSource):
    """A source of a DataLoader: every pass over the images is a pass over the loader."""

    def __init__(
        self, name: str, loader: "DataLoader[Any]", length: int, seed: int, range_name: str
    ):
        super().__init__(name, length, seed, range_name)
        self.loader = loader

    def iter_images(self, chosen: Sequence[int]) -> Iterator[tuple[int, Any]]:
        wanted = set(chosen)
        for number, image in enumerate(self.iter_loaded()):
            if number in wanted:
                wanted.remove(number)
                yield number, image
            if not wanted:
                return
        raise Unreadable(
            f"{self.name} ended {len(wanted)} images before its length: pass its Dataset instead"
        )

    def iter_loaded(self) -> Iterator[Any]:
        """Yields all images of one pass; restores the state of the loader's own generator."""
        random = self.loader.generator
        state = None if random is None else random.get_state()
        try:
            with self.reading("begin"):
                batches = iter(self.loader)
            yield from self.iter_batches(batches, self.loader.batch_sampler is not None)
        finally:
            if random is not None and state is not None:
                random.set_state(state)

    def iter_batches(self, batches: Iterator[Any], batched: bool) -> Iterator[Any]:
        for number in count():
            with self.reading("batch", number):
                batch = next(batches, END_OF_ENTRIES)
            if batch is END_OF_ENTRIES:
                return
            yield from images_of_entry(batch, f"batch {number} of {self.name}", batched)


def source_of_object(given: Any, seed: int, range_name: str) -> Source:
    """Returns the source of a list, Dataset, DataLoader, mapping of arrays or iterable."""
    kind = type(given).__name__
    if isinstance(given, str | bytes):
        raise Unreadable(f"a {kind} cannot be read as images: pass a list")
    if isinstance(given, Image.Image):
        raise Unreadable(f"a {kind} is one image: pass a list of images")
    if isinstance(given, Mapping) and (tables := tables_of_mapping(given)):
        return source_of_arrays(select_arrays(tables, kind), kind, range_name)
    if isinstance(given, Mapping) or is_columns(given):
        return source_of_object(find_images(given, kind, batched=True), seed, range_name)
    if is_array(given):
        return source_of_arrays({"images": rows_of_array(given, kind)}, kind, range_name)
    source = source_of_entries(given, kind, seed, range_name)
    _, first = next(source.iter_images([0]))
    if is_array(first) and len(first.shape) == 1:
        return vectors_of_source(source)
    source.settle_range(first)
    return source


def source_of_entries(given: Any, kind: str, seed: int, range_name: str) -> ObjectSource:
    if isinstance(given, DataLoader):
        length = length_of_loader(given)
        if length is not None:
            name = f"{kind}[{length}]"
            return with_drop_note(LoaderSource(name, given, length, seed, range_name))
        given = hold_images(LoaderSource(kind, given, 1, seed, range_name).iter_loaded(), kind)
    elif not hasattr(given, "__len__") or not hasattr(given, "__getitem__"):
        if not hasattr(given, "__iter__") and not hasattr(given, "__getitem__"):
            raise Unreadable(f"a {kind} cannot be read as images")
        given = hold_images(iter_entries(given, kind), kind)
    elif isinstance(given, list | tuple) and given and is_array(given[0]):
        given = [image for batch in given for image in images_of_entry(batch, kind)]
    return EntriesSource(f"{kind}[{len(given)}]", given, seed, range_name)


def is_columns(given: Any) -> bool:
    """Returns whether a short list or tuple holds images beside labels, as (x, y)."""
    if not isinstance(given, list | tuple) or not 1 < len(given) < MIN_IMAGES:
        return False
    ranks = [rank_of(part) for part in given]
    return max(ranks) >= BATCH_AXES and ranks.count(max(ranks)) == 1


def tables_of_mapping(given: Mapping[Any, Any]) -> dict[str, RowTable]:
    """Returns the arrays of a mapping as tables, without its other values."""
    tables: dict[str, RowTable] = {}
    for key in given:
        # Values such as Python objects, which NumPy's files refuse to read.
        with suppress(Unreadable, ValueError):
            if is_array(given[key]):
                tables[str(key)] = rows_of_array(given[key], str(key))
    return tables


def rows_of_array(array: Any, name: str) -> MemoryRows:
    return MemoryRows(to_tensor(array, name).cpu(), name)


def iter_entries(given: Iterable[Any], kind: str) -> Iterator[Any]:
    """Yields the images of an iterable's entries, each an image or a batch of them."""
    with user_code(f"{kind} raised"):
        entries = iter(given)
    for number in count():
        with user_code(f"{kind}[{number}] raised"):
            entry = next(entries, END_OF_ENTRIES)
        if entry is END_OF_ENTRIES:
            return
        yield from images_of_entry(entry, f"{kind}[{number}]")


def hold_images(images: Iterator[Any], kind: str) -> list[Any]:
    """Returns all images of an iterator; raises Unreadable if they need too much memory."""
    held: list[Any] = []
    size = 0
    for image in images:
        held.append(image)
        size += bytes_of_image(image)
        if size > MAX_HELD_BYTES:
            raise Unreadable(
                f"{kind} gave more than {MAX_HELD_BYTES >> 30} GiB of images: pass a Dataset, or "
                "a part of it by itertools.islice"
            )
    return held


def bytes_of_image(image: Any) -> int:
    if isinstance(image, Image.Image):
        return image.width * image.height * 3
    return int(getattr(image, "nbytes", 0)) or (len(image) if isinstance(image, bytes) else 0)


def length_of_loader(loader: "DataLoader[Any]") -> int | None:
    """Returns the number of images that a DataLoader gives, or None if it is unknown."""
    if loader.batch_size is None:
        return None
    try:
        if loader.drop_last:
            return len(loader) * loader.batch_size
        return len(cast(Any, loader.sampler))
    except (TypeError, NotImplementedError):  # of an IterableDataset
        return None


def with_drop_note(source: LoaderSource) -> LoaderSource:
    """Notes the images that the loader's `drop_last` leaves out."""
    dropped = len(cast(Any, source.loader.sampler)) - len(source)
    if dropped:
        source.notes = (*source.notes, f"{dropped:,} left out by drop_last of the DataLoader")
    return source


def vectors_of_source(source: ObjectSource) -> VectorSource:
    rows = []
    for _, image in source.iter_images(range(len(source))):
        if isinstance(image, Unreadable):
            raise image
        rows.append(to_tensor(image, source.name).cpu())
    if len({row.shape for row in rows}) > 1:
        raise Unreadable(f"{source.name} holds vectors of several lengths")
    return VectorSource(source.name, torch.stack(rows))


def open_picture(name: str, picture: Image.Image) -> OpenedImage:
    """Returns a PIL image as its file would be decoded; raises Unreadable if that fails."""
    facts = SimpleNamespace(size=picture.size, mode=picture.mode, tile=getattr(picture, "tile", ()))
    try:
        refuse_what_would_change(cast(Any, facts))
        odd, extent = find_oddities(picture), picture.size
        picture.load()
        upright = ImageOps.exif_transpose(picture) if Odd.TURNED in odd else picture
    except Unreadable as reason:
        raise Unreadable(f"{name} {reason}") from reason
    except Exception as error:  # damaged files make decoders raise almost anything
        raise Unreadable(f"{name} is damaged: {' '.join(str(error).split())}") from error
    return OpenedImage(upright, extent, odd)
