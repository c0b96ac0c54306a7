"""Published sets that torchvision downloads and reads: the official splits, and a sentence where they lack."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from .base import IMAGE, Data, Examples, NotDownloaded, Split
from .paths import root

# What torchvision raises of files that are not there, cut short or damaged.
UNREADABLE = (RuntimeError, ValueError, AssertionError, LookupError, EOFError, OSError)


@dataclass(frozen=True)
class Downloaded(Data):
    """The official training split trains, the official test split is held out."""

    name: ClassVar[str]
    quirk: ClassVar[str] = ""  # what else is to know of its download, in a sentence
    extractor: ClassVar[str] = "inception"

    def published(self, place: Path, train: bool, download: bool = False) -> Any:
        """torchvision's data set of one split, under this folder."""
        raise NotImplementedError

    def examples(self, published: Any) -> Examples:
        raise NotImplementedError

    @classmethod
    def download(cls) -> None:
        """Fetches both splits; raises Missing, whatever torchvision raised."""
        try:
            for train in (True, False):
                cls().published(root(), train, download=True)
        except Exception as error:
            raise NotDownloaded(with_quirk(str(error), cls.quirk)) from error

    def load(self) -> Split:
        try:
            sides = [self.examples(self.published(root(), train)) for train in (True, False)]
        except UNREADABLE as error:
            raise NotDownloaded(self.told(error)) from error
        return Split({IMAGE: sides[0]}, {IMAGE: sides[1]})

    def told(self, error: Exception) -> str:
        """What is wrong, and what to do about it."""
        remedy = f"run `ganbench download {self.name}`"
        if "not found" in str(error):  # torchvision's words of all its sets
            what = f"{self.name} is not on this machine: {remedy}, or put torchvision's files under {root()}"
        else:
            what = f"{self.name} under {root()} is damaged: delete it and {remedy}"
        return with_quirk(what, self.quirk)


def with_quirk(told: str, quirk: str) -> str:
    return f"{told} ({quirk})" if quirk else told


def with_labels(images: np.ndarray[Any, Any], labels: Any) -> Examples:
    """uint8 [N, C, H, W] and their labels [N], as torchvision keeps them."""
    labels = torch.from_numpy(np.array(labels, dtype=np.int64))
    return Examples(torch.from_numpy(np.ascontiguousarray(images)), labels)
