"""A folder or zip archive of a user's images, as centre squares, with a share held out."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import ClassVar

import torch
from torch import Tensor

from ganbench.counts import count_of

from .base import IMAGE, Data, Examples, NotDownloaded, Split
from .image_decoding import Unreadable
from .image_files import ImageFiles, is_hidden_file, open_image_files
from .image_ops import check_image_size
from .read_images import ReadImages, read_squares

MIN_TRAIN_IMAGES, MIN_HELD_OUT_IMAGES = 64, 10
MAX_IMAGE_SIDE_PIXELS = 1024
SKIP_REMEDY = "skip_unreadable=true"


@dataclass(frozen=True)
class Folder(Data):
    """All images under `path`, a folder or a zip archive, except names that begin with a dot.

    Images are turned as their EXIF says, lose transparency, and count with the first frame of an
    animation. The hash of a file's bytes decides its position and whether it is held out. The order is
    therefore independent of file names, and new files never move others to the other side. Files with the
    same bytes, the same pixels, or the same name but for the suffix are on the same side. With `labelled`,
    the folders in `path` are the classes, ordered by name.

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
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, not {self.channels}")
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out must lie between 0 and 1, not {self.held_out}")
        if not (self.root_path.is_dir() or self.root_path.suffix.lower() == ".zip"):
            raise ValueError(f"there is no folder {self.root_path}")
        if not self.root_path.exists():
            raise ValueError(f"there is no archive {self.root_path}")
        if self.labelled and not self.class_names():
            raise ValueError(f"{self.root_path} has no folders to take the labels from")
        shape = (self.channels, check_image_size(self.size, MAX_IMAGE_SIDE_PIXELS), self.size)
        object.__setattr__(self, "shapes", {IMAGE: shape})
        object.__setattr__(self, "classes", len(self.class_names()) if self.labelled else 0)

    @property
    def root_path(self) -> Path:
        return Path(self.path).expanduser()

    @cached_property
    def image_files(self) -> ImageFiles:
        """The opened folder or archive; raises NotDownloaded if it cannot be read."""
        try:
            return open_image_files(str(self.root_path), self.skip_unreadable, SKIP_REMEDY)
        except Unreadable as error:
            raise NotDownloaded(str(error)) from error

    def class_names(self) -> list[str]:
        """Returns the names of the folders directly in `path`, sorted."""
        if self.root_path.is_dir():
            folders = (entry.name for entry in self.root_path.iterdir() if entry.is_dir())
            return sorted(name for name in folders if not is_hidden_file(name))
        parents = (PurePosixPath(name).parts for name in self.image_files.files)
        return sorted({parts[0] for parts in parents if len(parts) > 1})

    def load(self) -> Split:
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
        names, paths = self.class_names(), [PurePosixPath(file).parts for file in files]
        if stray := [file for file, parts in zip(files, paths, strict=True) if len(parts) == 1]:
            raise NotDownloaded(
                f"{self.root_path / stray[0]} is in no class folder: move it into one"
            )
        if empty := sorted({*names} - {parts[0] for parts in paths}):
            raise NotDownloaded(
                f"{self.root_path / empty[0]} holds no images: remove it or add images"
            )
        return torch.tensor([names.index(parts[0]) for parts in paths])

    def require_counts(self, train: int, held_out: int) -> None:
        if train < MIN_TRAIN_IMAGES or held_out < MIN_HELD_OUT_IMAGES:
            raise NotDownloaded(
                f"{self.root_path} has {count_of(train + held_out, 'image')}, {held_out} of them held out: add "
                f"images or change held_out, to have at least {MIN_TRAIN_IMAGES} for training and "
                f"{MIN_HELD_OUT_IMAGES} held out"
            )


def split_numbers(read: ReadImages) -> list[float]:
    """Returns a number in [0, 1) per image; equal pictures share the smallest one.

    Pictures are equal if they have the same pixels, or the same name but for the suffix.
    """
    stems = [str(PurePosixPath(name).with_suffix("")) for name in read.names]
    numbers, before = list(read.numbers), None
    while numbers != before:
        before = numbers
        numbers = share_smallest(share_smallest(numbers, stems), read.digests)
    return numbers


def share_smallest(numbers: list[float], keys: Iterable[str]) -> list[float]:
    """Returns for each number the smallest one with an equal key."""
    keys = list(keys)
    smallest: dict[str, float] = {}
    for key, number in zip(keys, numbers, strict=True):
        smallest[key] = min(number, smallest.get(key, number))
    return [smallest[key] for key in keys]
