"""Unpaired images in the layout of CycleGAN (Zhu et al., 2017).

The folders trainA, trainB, testA and testB are under one path.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from .base import Data, Examples, NotDownloaded, Split
from .folder import MAX_IMAGE_SIDE_PIXELS, find_images, open_image
from .image_ops import check_image_size, stack_squares

MIN_IMAGES_OF_SPLIT = {"train": 8, "test": 4}
UNPAIRED_DOMAINS = ("A", "B")
UNPAIRED_FOLDERS = [
    f"{part}{domain}" for part in MIN_IMAGES_OF_SPLIT for domain in UNPAIRED_DOMAINS
]


@dataclass(frozen=True)
class Unpaired(Data):
    """Training images in `trainA` and `trainB`, held-out images in `testA` and `testB`.

    Metrics measure domain `b` first. Images are cropped to central squares of `size` pixels (8 to 1024)
    with 1 or 3 `channels`, and ordered by name.
    """

    extractor: ClassVar[str] = "inception"

    path: str
    size: int = 256
    channels: int = 3

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, not {self.channels}")
        shape = (self.channels, check_image_size(self.size, MAX_IMAGE_SIDE_PIXELS), self.size)
        object.__setattr__(self, "shapes", {domain.lower(): shape for domain in UNPAIRED_DOMAINS})

    @property
    def root_path(self) -> Path:
        return Path(self.path).expanduser()

    def load(self) -> Split:
        train, held_out = (
            {domain.lower(): self.load_examples(f"{part}{domain}") for domain in UNPAIRED_DOMAINS}
            for part in MIN_IMAGES_OF_SPLIT
        )
        return Split(train, held_out)

    def load_examples(self, name: str) -> Examples:
        folder, least = self.root_path / name, MIN_IMAGES_OF_SPLIT[name[:-1]]
        if not folder.is_dir():
            raise NotDownloaded(
                f"there is no folder {folder}: unpaired data need {', '.join(UNPAIRED_FOLDERS)}"
            )
        files = find_images(folder)
        if len(files) < least:
            raise NotDownloaded(f"{folder} has {len(files)} images, but needs at least {least}")
        return Examples(stack_squares(map(open_image, files), len(files), self.shapes["a"]))
