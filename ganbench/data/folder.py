"""A folder or archives of a user's images, as centre squares, with a share held out."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ganbench.counts import count_of
from ganbench.files import CorruptFile, expand_home

from .base import IMAGE, Data, Examples, NotDownloaded, Split
from .image_decoding import Unreadable
from .image_files import ImageFiles, is_hidden_file
from .image_ops import check_image_size
from .image_settings import check_channels, check_held_out
from .image_sources import open_image_files
from .memory import data_memory_limit
from .packed_images import PackedImages, PackPlace, may_have_pack, open_pack
from .packing import PackReport, pack_images
from .read_images import notes_on_broken, read_squares, sentence_of_problems
from .split_order import split_numbers
from .tar_files import COMPRESSED_TAR_SUFFIXES, find_shards, is_tar_text

MIN_TRAIN_IMAGES, MIN_HELD_OUT_IMAGES = 64, 10
MAX_IMAGE_SIDE_PIXELS = 1024
SKIP_REMEDY = "skip_unreadable=true"


@dataclass(frozen=True)
class Folder(Data):
    """All images under `path`, a folder or an archive, except names that begin with a dot.

    Archives are a zip file, a tar file, a folder of tar files, or a pattern of them such as
    `train-{000..099}.tar`. Large sets are packed once: decoded into a file on disk, from which batches are
    read. The examples, their order and the fingerprint are those of a set in memory.

    Images are turned as their EXIF says, lose transparency, and count with the first frame of an
    animation. The hash of a file's bytes decides its position and whether it is held out. The order is
    therefore independent of file names, and new files never move others to the other side. Files with the
    same bytes, the same pixels, or the same name but for the suffix are on the same side. With `labelled`,
    the folders in `path` are the classes, ordered by name; in tar files, `.cls`, `.json` or `.txt` files.

    Settings: `size` is the side in pixels (8 to 1024), `channels` is 1 or 3, and `held_out` is the share
    of held-out images in (0, 1). `skip_unreadable` leaves out broken files and unsupported formats.
    """

    extractor: ClassVar[str] = "inception"
    neutral: ClassVar[dict[str, object]] = {"skip_unreadable": False}

    path: str
    size: int = 32
    channels: int = 3
    held_out: float = 0.1
    labelled: bool = False
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        check_channels(self.channels)
        check_held_out(self.held_out)
        self.require_path()
        names = self.class_names() if self.labelled else []
        if self.labelled:
            self.require_two_classes(names)
        shape = (self.channels, check_image_size(self.size, MAX_IMAGE_SIDE_PIXELS), self.size)
        object.__setattr__(self, "shapes", {IMAGE: shape})
        object.__setattr__(self, "classes", len(names))

    def require_path(self) -> None:
        """Raises ValueError if there is no such folder or archive."""
        path, suffix = self.root_path, self.root_path.suffix.lower()
        if path.name.lower().endswith(COMPRESSED_TAR_SUFFIXES):
            raise ValueError(f"{path} is compressed: unpack it to a plain .tar")
        if is_tar_text(str(path)):
            try:
                find_shards(str(path))
            except Unreadable as error:
                raise ValueError(str(error)) from error
        elif not path.is_dir() and suffix != ".zip":
            raise ValueError(f"there is no folder {path}")
        elif not path.exists():
            raise ValueError(f"there is no archive {path}")

    def require_two_classes(self, names: list[str]) -> None:
        """Raises ValueError if there are fewer than two classes."""
        if not names:
            raise ValueError(f"{self.root_path} has no folders to take the labels from")
        if len(names) == 1:
            raise ValueError(
                f"{self.root_path} has a single class, {names[0]}: set path to the folder with the "
                "class folders, pack these at the top, or leave out labelled"
            )

    @property
    def root_path(self) -> Path:
        return expand_home(self.path)

    @cached_property
    def image_files(self) -> ImageFiles:
        """The opened folder or archive; raises NotDownloaded if it cannot be read."""
        return open_own_images(self.root_path, self.skip_unreadable)

    @property
    def is_plain_folder(self) -> bool:
        return self.root_path.is_dir() and not is_tar_text(self.path)

    def class_names(self) -> list[str]:
        """Returns the names of the classes, in the order of their labels."""
        if self.is_plain_folder:
            folders = (entry.name for entry in self.root_path.iterdir() if entry.is_dir())
            return sorted(name for name in folders if not is_hidden_file(name))
        if packed := self.find_pack():
            return packed.classes
        files = self.image_files
        own = {files.class_of(name) for name in self.listed_files()}
        return files.sort_classes(name for name in own if name is not None)

    def listed_files(self) -> list[str]:
        """Returns the names of the image files; raises NotDownloaded if they cannot be listed."""
        try:
            return self.image_files.files
        except Unreadable as error:
            raise NotDownloaded(str(error)) from error

    def load(self) -> Split:
        packed = self.find_pack()
        if packed is None and self.is_larger_than_memory():
            packed = self.pack(PackReport())
        return self.load_from_files() if packed is None else self.load_packed(packed)

    # Packed images

    def find_pack(self) -> PackedImages | None:
        """Returns the pack of the current files, or None if it is missing or damaged."""
        shape = self.shapes.get(IMAGE, (self.channels, self.size, self.size))
        if not may_have_pack(str(self.root_path), shape):
            return None
        try:
            return open_pack(PackPlace.of(self.image_files, shape).folder)
        except CorruptFile:
            return None  # packing, if it is needed, reports the damage
        except Unreadable as error:
            raise NotDownloaded(str(error)) from error

    def is_larger_than_memory(self) -> bool:
        return len(self.listed_files()) * prod(self.shapes[IMAGE]) > data_memory_limit()

    def pack(self, report: PackReport) -> PackedImages:
        """Decodes all images into a file on disk, unless that is done.

        Raises NotDownloaded for broken images and a disk that is too small.
        """
        self.listed_files()
        try:
            return pack_images(
                self.image_files, self.shapes[IMAGE], self.skip_unreadable, SKIP_REMEDY, report
            )
        except Unreadable as error:
            raise NotDownloaded(str(error)) from error

    def load_packed(self, packed: PackedImages) -> Split:
        """Returns the split of packed images: in memory if they fit, otherwise on disk."""
        if packed.problems and not self.skip_unreadable:
            raise NotDownloaded(
                sentence_of_problems(packed.problems, packed.meta["files"], SKIP_REMEDY)
            )
        count = int(np.searchsorted(packed.numbers, self.held_out, "left"))
        self.require_counts(len(packed.numbers) - count, count)
        labels = self.labels_of_pack(packed) if self.labelled else None
        file = packed.file if packed.nbytes > data_memory_limit() else None
        images = torch.from_numpy(packed.read_images()) if file is None else file.as_tensor()
        held_out, train = (
            Examples(images[side], None if labels is None else labels[side], file=file)
            for side in (slice(count), slice(count, None))
        )
        split = Split({IMAGE: train}, {IMAGE: held_out}, notes=self.notes_of_pack(packed))
        self.__dict__.pop("image_files", None)  # a million names take 100 MB
        return replace(split, known_fingerprint=self.fingerprint_of_pack(packed, split))

    def fingerprint_of_pack(self, packed: PackedImages, split: Split) -> str:
        """Returns the fingerprint that is stored beside the pack, or computes and stores it."""
        key = f"held_out={self.held_out!r}, labelled={self.labelled}"
        fingerprint = packed.find_fingerprint(key)
        if not fingerprint:
            packed.store_fingerprint(key, fingerprint := split.compute_fingerprint())
        return fingerprint

    def labels_of_pack(self, packed: PackedImages) -> Tensor:
        """Returns class labels [N]; raises NotDownloaded as `labels_of_files` does."""
        if packed.meta["stray"]:
            raise NotDownloaded(self.stray_sentence(packed.meta["stray"]))
        self.refuse_empty_classes(packed.classes)
        return torch.from_numpy(packed.labels)

    def notes_of_pack(self, packed: PackedImages) -> tuple[str, ...]:
        listed = self.image_files.notes if self.is_plain_folder else packed.meta["notes"]
        count = packed.meta["broken"]
        return (*listed, *notes_on_broken(packed.problems, count, packed.meta["files"]))

    # Images in memory

    def load_from_files(self) -> Split:
        """Decodes all images into memory."""
        read = read_squares(self.image_files, self.shapes[IMAGE], self.skip_unreadable, SKIP_REMEDY)
        numbers = split_numbers(read)
        order = sorted(range(len(numbers)), key=lambda n: (numbers[n], read.numbers[n]))
        count = sum(number < self.held_out for number in numbers)
        self.require_counts(len(order) - count, count)
        names = [read.names[n] for n in order]
        labels = self.labels_of_files(names) if self.labelled else None
        images = read.images[torch.tensor(order)]
        held_out, train = (
            Examples(images[side], None if labels is None else labels[side])
            for side in (slice(count), slice(count, None))
        )
        return Split({IMAGE: train}, {IMAGE: held_out}, notes=read.notes)

    def labels_of_files(self, files: list[str]) -> Tensor:
        """Returns class labels [N].

        Raises NotDownloaded if an image is in no class folder, or a class folder has no images.
        """
        own = [self.image_files.class_of(file) for file in files]
        if stray := [file for file, name in zip(files, own, strict=True) if name is None]:
            raise NotDownloaded(self.stray_sentence(stray[0]))
        self.refuse_empty_classes(own)
        numbers = {name: number for number, name in enumerate(self.class_names())}
        return torch.tensor([numbers[name] for name in own if name is not None])

    def stray_sentence(self, file: str) -> str:
        """Returns the sentence on an image without a class."""
        if is_tar_text(str(self.root_path)):
            return f"{self.root_path}/{file} has no label: add a .cls file to its sample"
        return f"{self.root_path / file} is in no class folder: move it into one"

    def refuse_empty_classes(self, names: Iterable[str | None]) -> None:
        """Raises NotDownloaded if a class folder has no images."""
        if empty := sorted({*self.class_names()} - {*names}):
            raise NotDownloaded(
                f"{self.root_path / empty[0]} holds no images: remove it or add images"
            )

    def require_counts(self, train: int, held_out: int) -> None:
        if train < MIN_TRAIN_IMAGES or held_out < MIN_HELD_OUT_IMAGES:
            raise NotDownloaded(
                f"{self.root_path} has {count_of(train + held_out, 'image')}, {held_out} of them held out: add "
                f"images or change held_out, to have at least {MIN_TRAIN_IMAGES} for training and "
                f"{MIN_HELD_OUT_IMAGES} held out"
            )


def open_own_images(place: Path, skip: bool) -> ImageFiles:
    """Opens the images of a user's data set; raises NotDownloaded if they cannot be listed."""
    try:
        return open_image_files(str(place), skip, SKIP_REMEDY)
    except Unreadable as error:
        raise NotDownloaded(str(error)) from error
