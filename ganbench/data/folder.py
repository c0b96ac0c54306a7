"""A folder of a user's images, as centre squares, with a share held out by content hash."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from PIL import Image
from torch import Tensor

from .base import IMAGE, Data, Examples, NotDownloaded, Split
from .image_decoding import IMAGE_SUFFIXES, Unreadable, decode_image
from .image_ops import check_image_size, stack_squares

MIN_TRAIN_IMAGES, MIN_HELD_OUT_IMAGES = 64, 10
MAX_IMAGE_SIDE_PIXELS = 1024


@dataclass(frozen=True)
class Folder(Data):
    """All images under `path`, except names that begin with a dot.

    Images are turned as their EXIF says, lose transparency, and count with the first frame of an
    animation. The hash of a file's bytes alone decides its position and whether it is held out. The order
    is therefore independent of file names, new files never move others to the other side, and copies are
    on the same side. With `labelled`, the folders in `path` are the classes, ordered by name.

    Settings: `size` is the side in pixels (8 to 1024), `channels` is 1 or 3, and `held_out` is the share
    of held-out images in (0, 1).
    """

    extractor: ClassVar[str] = "inception"

    path: str
    size: int = 32
    channels: int = 3
    held_out: float = 0.1
    labelled: bool = False

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, not {self.channels}")
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out must lie between 0 and 1, not {self.held_out}")
        if not self.root_path.is_dir():
            raise ValueError(f"there is no folder {self.root_path}")
        if self.labelled and not self.class_names():
            raise ValueError(f"{self.root_path} has no folders to take the labels from")
        shape = (self.channels, check_image_size(self.size, MAX_IMAGE_SIDE_PIXELS), self.size)
        object.__setattr__(self, "shapes", {IMAGE: shape})
        object.__setattr__(self, "classes", len(self.class_names()) if self.labelled else 0)

    @property
    def root_path(self) -> Path:
        return Path(self.path).expanduser()

    def class_names(self) -> list[str]:
        """Returns the names of the folders directly in `path`, sorted."""
        folders = (entry for entry in self.root_path.iterdir() if entry.is_dir())
        return sorted(folder.name for folder in folders if not is_hidden(folder.name))

    def image_files(self) -> list[Path]:
        """Returns the paths of the images, relative to the folder."""
        return [path.relative_to(self.root_path) for path in find_images(self.root_path)]

    def load(self) -> Split:
        numbers = {file: content_number(self.root_path / file) for file in self.image_files()}
        files = sorted(numbers, key=numbers.__getitem__)
        count = sum(number < self.held_out for number in numbers.values())
        self.require_counts(len(files) - count, count)
        labels = self.labels_of_files(files) if self.labelled else None
        images = stack_squares(
            map(open_image, map(self.root_path.joinpath, files)), len(files), self.shapes[IMAGE]
        )
        held_out, train = (
            Examples(images[side], None if labels is None else labels[side])
            for side in (slice(count), slice(count, None))
        )
        return Split({IMAGE: train}, {IMAGE: held_out})

    def labels_of_files(self, files: list[Path]) -> Tensor:
        """Returns class labels [N].

        Raises NotDownloaded if an image is in no class folder, or a class folder has no images.
        """
        names = self.class_names()
        if stray := [file for file in files if len(file.parts) == 1]:
            raise NotDownloaded(
                f"{self.root_path / stray[0]} is in no class folder: move it into one"
            )
        if empty := sorted({*names} - {file.parts[0] for file in files}):
            raise NotDownloaded(
                f"{self.root_path / empty[0]} holds no images: remove it or add images"
            )
        return torch.tensor([names.index(file.parts[0]) for file in files])

    def require_counts(self, train: int, held_out: int) -> None:
        if train < MIN_TRAIN_IMAGES or held_out < MIN_HELD_OUT_IMAGES:
            raise NotDownloaded(
                f"{self.root_path} has {train + held_out} images, {held_out} of them held out: add images or change "
                f"held_out, to have at least {MIN_TRAIN_IMAGES} for training and {MIN_HELD_OUT_IMAGES} held out"
            )


def find_images(place: Path) -> list[Path]:
    """Returns the sorted paths of all images in a folder and below, without hidden ones."""
    paths = (path for path in place.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    every = sorted(path.relative_to(place) for path in paths if path.is_file())
    return [place / path for path in every if not any(map(is_hidden, path.parts))]


def is_hidden(name: str) -> bool:
    return name.startswith(".")


def content_number(path: Path) -> float:
    """Returns the hash of a file's bytes as a number in [0, 1)."""
    digest = hashlib.sha256(read_file(path)).digest()
    return int.from_bytes(digest[:6], "big") / (1 << 48)


def open_image(path: Path) -> Image.Image:
    """Returns an image, upright; raises NotDownloaded if it cannot be decoded."""
    try:
        return decode_image(str(path), read_file(path)).image
    except Unreadable as error:
        raise NotDownloaded(str(error)) from error


def read_file(path: Path) -> bytes:
    """Returns a file's bytes; raises NotDownloaded if they cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotDownloaded(f"{path} cannot be read: {error.strerror}") from error
