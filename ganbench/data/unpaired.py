"""Unpaired folders in CycleGAN's layout: trainA, trainB, testA and testB under one path (Zhu et al., 2017)."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from .base import Data, Examples, NotDownloaded, Split
from .folder import images_under, opened
from .image_ops import checked, squares

LARGEST = 1024  # pixels a side
LEAST = {"train": 8, "test": 4}
DOMAINS = ("A", "B")
FOLDERS = [f"{part}{domain}" for part in LEAST for domain in DOMAINS]


@dataclass(frozen=True)
class Unpaired(Data):
    """Images of `trainA` and `trainB` train, those of `testA` and `testB` are held out; `b` is measured first.

    They are cut to squares from their centres. Their order is that of their names.
    """

    extractor: ClassVar[str] = "inception"

    path: str
    size: int = 256
    channels: int = 3

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, not {self.channels}")
        shape = (self.channels, checked(self.size, LARGEST), self.size)
        object.__setattr__(self, "shapes", {domain.lower(): shape for domain in DOMAINS})

    @property
    def place(self) -> Path:
        return Path(self.path).expanduser()

    def load(self) -> Split:
        train, held_out = (
            {domain.lower(): self.examples(f"{part}{domain}") for domain in DOMAINS}
            for part in LEAST
        )
        return Split(train, held_out)

    def examples(self, name: str) -> Examples:
        folder, least = self.place / name, LEAST[name[:-1]]
        if not folder.is_dir():
            raise NotDownloaded(
                f"there is no folder {folder}: unpaired data are in {', '.join(FOLDERS)}"
            )
        files = images_under(folder)
        if len(files) < least:
            raise NotDownloaded(f"{folder} has {len(files)} images, and {least} are needed")
        return Examples(squares(map(opened, files), len(files), self.shapes["a"]))
