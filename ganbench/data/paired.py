"""Pairs of images in the layout of pix2pix (Isola et al., 2017).

Each file has two images side by side. The folder `train` is trained on, and `test` or `val` is held out.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import torch
from PIL import Image
from torch import Tensor

from ganbench.counts import count_of
from ganbench.files import expand_home

from .base import Data, Examples, NotDownloaded, Split
from .folder import MAX_IMAGE_SIDE_PIXELS, SKIP_REMEDY, open_own_images
from .image_decoding import Unreadable
from .image_ops import check_image_size, crop_and_resize
from .image_settings import check_channels
from .read_images import ReadImages, read_squares
from .unpaired import MIN_IMAGES_OF_SPLIT


@dataclass(frozen=True)
class Paired(Data):
    """Pairs in `train` and `test` (or `val`), an input and its target in each file.

    The input is the left half, or with `reverse` the right one. Each half is cropped to its central square
    of `size` pixels (8 to 1024) with 1 or 3 `channels`. Each folder may be a zip archive, such as
    `train.zip`.
    `skip_unreadable` leaves out broken files, unsupported formats, and images that are no pairs.
    """

    has_targets: ClassVar[bool] = True
    extractor: ClassVar[str] = "inception"
    neutral: ClassVar[dict[str, object]] = {"reverse": False, "skip_unreadable": False}

    path: str
    size: int = 256
    channels: int = 3
    reverse: bool = False
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        check_channels(self.channels)
        shape = (self.channels, check_image_size(self.size, MAX_IMAGE_SIDE_PIXELS), self.size)
        object.__setattr__(self, "shapes", {"input": shape, "target": shape})

    @property
    def root_path(self) -> Path:
        return expand_home(self.path)

    def load(self) -> Split:
        train, held_out = self.read_pairs("train"), self.read_pairs("test", "val")
        notes = (*train.notes, *held_out.notes)
        return Split(self.make_domains(train), self.make_domains(held_out), notes=notes)

    def make_domains(self, read: ReadImages) -> dict[str, Examples]:
        """Returns inputs and targets; each has the other as its translation."""
        left, right = read.images.split(self.channels, 1)
        inputs, targets = (
            x.contiguous() for x in ((right, left) if self.reverse else (left, right))
        )
        return {"input": Examples(inputs, truth=targets), "target": Examples(targets, truth=inputs)}

    def read_pairs(self, *names: str) -> ReadImages:
        """Reads the first folder that exists; raises NotDownloaded if it has too few pairs."""
        place, least = self.find_folder(names), MIN_IMAGES_OF_SPLIT[names[0]]
        files = open_own_images(place, self.skip_unreadable)
        shape = (2 * self.channels, self.size, self.size)
        read = read_squares(files, shape, self.skip_unreadable, SKIP_REMEDY, crop_pair)
        if len(read.images) < least:
            raise NotDownloaded(
                f"{place} has {count_of(len(read.images), 'pair')}, but needs at least {least}"
            )
        return read

    def find_folder(self, names: tuple[str, ...]) -> Path:
        for name in names:
            for place in (self.root_path / name, self.root_path / f"{name}.zip"):
                if place.exists():
                    return place
        raise NotDownloaded(
            f"there is no folder {self.root_path / names[0]}: pairs need the folders train and test, or train and val"
        )


def crop_pair(image: Image.Image, channels: int, size: int) -> Tensor:
    """Returns both halves of an image as uint8 [channels, size, size], the left one first.

    Raises Unreadable for an image that cannot be two images side by side.
    """
    width, height = image.size
    if width % 2 or width <= height:
        raise Unreadable(
            f"has {width}x{height} pixels: two images side by side have an even width, above their height"
        )
    edges = (0, width // 2, width)
    halves = (image.crop((left, 0, right, height)) for left, right in pairwise(edges))
    return torch.cat([crop_and_resize(half, channels // 2, size) for half in halves])
