"""Unpaired images in the layout of CycleGAN (Zhu et al., 2017).

The folders trainA, trainB, testA and testB are under one path.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ganbench.counts import count_of
from ganbench.files import expand_home

from .base import Data, Examples, NotDownloaded, Split
from .folder import MAX_IMAGE_SIDE_PIXELS, SKIP_REMEDY, open_own_images
from .image_ops import check_image_size
from .image_settings import check_channels
from .read_images import ReadImages, read_squares

MIN_IMAGES_OF_SPLIT = {"train": 8, "test": 4}
UNPAIRED_DOMAINS = ("A", "B")
UNPAIRED_FOLDERS = [
    f"{part}{domain}" for part in MIN_IMAGES_OF_SPLIT for domain in UNPAIRED_DOMAINS
]


@dataclass(frozen=True)
class Unpaired(Data):
    """Training images in `trainA` and `trainB`, held-out images in `testA` and `testB`.

    Metrics measure domain `b` first. Images are cropped to central squares of `size` pixels (8 to 1024)
    with 1 or 3 `channels`, and ordered by name. Each folder may be a zip archive, such as `trainA.zip`.
    `skip_unreadable` leaves out broken files and unsupported formats.
    """

    extractor: ClassVar[str] = "inception"
    neutral: ClassVar[dict[str, object]] = {"skip_unreadable": False}

    path: str
    size: int = 256
    channels: int = 3
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        check_channels(self.channels)
        shape = (self.channels, check_image_size(self.size, MAX_IMAGE_SIDE_PIXELS), self.size)
        object.__setattr__(self, "shapes", {domain.lower(): shape for domain in UNPAIRED_DOMAINS})

    @property
    def root_path(self) -> Path:
        return expand_home(self.path)

    def load(self) -> Split:
        read = {name: self.read_folder(name) for name in UNPAIRED_FOLDERS}
        train, held_out = (
            {
                domain.lower(): Examples(read[f"{part}{domain}"].images)
                for domain in UNPAIRED_DOMAINS
            }
            for part in MIN_IMAGES_OF_SPLIT
        )
        notes = tuple(note for images in read.values() for note in images.notes)
        return Split(train, held_out, notes=notes)

    def read_folder(self, name: str) -> ReadImages:
        """Reads one of the four folders; raises NotDownloaded if it has too few images."""
        read, least = self.open_folder(name), MIN_IMAGES_OF_SPLIT[name[:-1]]
        if len(read.images) < least:
            raise NotDownloaded(
                f"{self.root_path / name} has {count_of(len(read.images), 'image')}, but needs at least {least}"
            )
        return read

    def open_folder(self, name: str) -> ReadImages:
        folder, archive = self.root_path / name, self.root_path / f"{name}.zip"
        if not (folder.is_dir() or archive.is_file()):
            raise NotDownloaded(
                f"there is no folder {folder}: unpaired data need {', '.join(UNPAIRED_FOLDERS)}"
            )
        files = open_own_images(folder if folder.is_dir() else archive, self.skip_unreadable)
        return read_squares(files, self.shapes["a"], self.skip_unreadable, SKIP_REMEDY)
