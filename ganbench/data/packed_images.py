"""Packed images: the decoded images of a folder or of archives in one uint8 file.

A pack is a folder in the cache. Its name is a hash of the source's path, the shape, and the names,
sizes and times of the source's files. The images, [N, C, S, S] in the order of the data set, are in a
file that is named by the SHA-256 of its content.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ganbench.files import CorruptFile, expand_home, hash_json, read_json_or_none, write_json

from .image_decoding import Unreadable
from .image_files import ImageFiles
from .mapped_file import MappedFile, Rows
from .paths import cache_root

PACK_VERSION = 1
META_NAME, FINGERPRINTS_NAME, NUMBERS_NAME, LABELS_NAME = (
    *("pack.json", "fingerprints.json"),
    *("numbers.npy", "labels.npy"),
)
IMAGES_SUFFIX = ".uint8"
PARTIAL_SUFFIX = ".partial"
HASHED_BYTES_AT_ONCE = 2**22


@dataclass(frozen=True)
class PackPlace:
    """The place of a pack in the cache: of a source's path, its shape and its files."""

    source: str  # absolute path, or a pattern
    shape: tuple[int, ...]  # channels, side, side
    files: str  # hash of names, sizes and times

    @classmethod
    def of(cls, opened: ImageFiles, shape: tuple[int, ...]) -> "PackPlace":
        """Returns the place for the current files of a source."""
        return cls(absolute_path(opened.name), shape, hash_stamps(opened))

    @property
    def prefix(self) -> str:
        return pack_prefix(self.source, self.shape)

    @property
    def folder(self) -> Path:
        return packs_folder() / f"{self.prefix}-{self.files}"

    @property
    def partial(self) -> Path:
        """The folder of an unfinished conversion."""
        return self.folder.with_name(self.folder.name + PARTIAL_SUFFIX)

    def outdated(self) -> Iterator[Path]:
        """Yields the folders of other versions of the source's files."""
        for folder in packs_folder().glob(f"{self.prefix}-*"):
            if folder.is_dir() and folder not in (self.folder, self.partial):
                yield folder


def packs_folder() -> Path:
    return cache_root() / "packed"


def absolute_path(text: str) -> str:
    return str(expand_home(text).absolute())


def pack_prefix(source: str, shape: tuple[int, ...]) -> str:
    return hash_json([PACK_VERSION, source, list(shape)], digits=16)


def may_have_pack(text: str, shape: tuple[int, ...]) -> bool:
    """Returns whether the cache has a pack or an unfinished one of a source, perhaps outdated."""
    prefix = pack_prefix(absolute_path(text), shape)
    return next(packs_folder().glob(f"{prefix}-*"), None) is not None


def hash_stamps(opened: ImageFiles) -> str:
    """Returns a hash of the names, sizes and times of a source's files; raises Unreadable."""
    digest = hashlib.sha256()
    try:
        for stamp in opened.iter_stamps():
            digest.update(json.dumps(stamp).encode())
    except OSError as error:
        raise Unreadable(f"{opened.name} cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class PackedImages:
    """A finished pack, checked when it is opened.

    `numbers`, ascending, decide the split. `labels` are places in `classes`, or -1 for an image
    without a class, such as `stray`. `problems` are sentences on broken files.
    """

    folder: Path
    meta: dict[str, Any]
    numbers: Rows = field(repr=False)  # float64 [N]
    labels: Rows = field(repr=False)  # int64 [N]

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.numbers), *self.meta["shape"]

    @property
    def nbytes(self) -> int:
        return prod(self.shape)

    @property
    def images_path(self) -> Path:
        return self.folder / f"{self.meta['content']}{IMAGES_SUFFIX}"

    @property
    def classes(self) -> list[str]:
        return list(self.meta["classes"])

    @property
    def problems(self) -> list[str]:
        return list(self.meta["problems"])

    @cached_property
    def file(self) -> MappedFile:
        return MappedFile(self.images_path, self.shape)

    def read_images(self) -> Rows:
        """Returns all images in memory."""
        return np.fromfile(self.images_path, np.uint8).reshape(self.shape)

    def find_fingerprint(self, split: str) -> str:
        """Returns the stored fingerprint of a split, or an empty text."""
        known = read_json_or_none(self.folder / FINGERPRINTS_NAME) or {}
        fingerprint = known.get(split, "")
        return fingerprint if isinstance(fingerprint, str) else ""

    def store_fingerprint(self, split: str, fingerprint: str) -> None:
        known = read_json_or_none(self.folder / FINGERPRINTS_NAME) or {}
        with suppress(OSError):  # a cache without write access costs time only
            write_json(self.folder / FINGERPRINTS_NAME, {**known, split: fingerprint})


def open_pack(folder: Path, thorough: bool = False) -> PackedImages | None:
    """Opens a pack, or returns None if it is missing.

    A file is read as a whole only if its time has changed, or if `thorough`. Raises CorruptFile if a
    file is not as it was written.
    """
    meta = read_json_or_none(folder / META_NAME)
    if meta is None and not folder.exists():
        return None
    try:
        packed = read_pack(folder, meta)
        if thorough or packed.images_path.stat().st_mtime_ns != packed.meta["time"]:
            check_content(packed)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptFile.at(folder, str(error) or type(error).__name__) from error
    return packed


def read_pack(folder: Path, meta: Any) -> PackedImages:
    """Reads everything but the images; raises ValueError for anything that does not fit."""
    if meta is None:
        raise ValueError(f"{META_NAME} is missing")
    numbers, labels = (
        read_array(folder / name, meta["arrays"][name]) for name in (NUMBERS_NAME, LABELS_NAME)
    )
    packed = PackedImages(folder, meta, numbers, labels)
    size = packed.images_path.stat().st_size
    if size != packed.nbytes or len(packed.numbers) != len(packed.labels):
        raise ValueError(f"{packed.images_path.name} has {size:,} of {packed.nbytes:,} bytes")
    return packed


def read_array(path: Path, digest: str) -> Rows:
    """Returns the array in a file; raises ValueError if its bytes have another SHA-256."""
    if hash_file_content(path) != digest:
        raise ValueError(f"{path.name} has changed")
    array: Rows = np.load(path, allow_pickle=False)
    return array


def check_content(packed: PackedImages) -> None:
    """Raises ValueError if the images are not those of the name; notes their time otherwise."""
    if hash_file_content(packed.images_path) != packed.meta["content"]:
        raise ValueError(f"{packed.images_path.name} has changed")
    packed.meta["time"] = packed.images_path.stat().st_mtime_ns
    with suppress(OSError):  # a cache without write access costs time only
        write_json(packed.folder / META_NAME, packed.meta)


def hash_file_content(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(HASHED_BYTES_AT_ONCE):
            digest.update(piece)
    return digest.hexdigest()
