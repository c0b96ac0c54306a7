"""Published sets that torchvision downloads and reads: the official splits, and a sentence where they lack."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from .base import IMAGE, Data, Examples, NotDownloaded, Split
from .paths import data_root

# What torchvision raises of files that are not there, cut short or damaged.
TORCHVISION_ERRORS = (RuntimeError, ValueError, AssertionError, LookupError, EOFError, OSError)


@dataclass(frozen=True)
class TorchvisionDataset(Data):
    """The official training split trains, the official test split is held out."""

    name: ClassVar[str]
    quirk: ClassVar[str] = ""  # what else is to know of its download, in a sentence
    extractor: ClassVar[str] = "inception"

    def open_published(self, place: Path, train: bool, download: bool = False) -> Any:
        """torchvision's data set of one split, under this folder."""
        raise NotImplementedError

    def make_examples(self, published: Any) -> Examples:
        raise NotImplementedError

    @classmethod
    def download(cls) -> None:
        """Fetches both splits; raises NotDownloaded, whatever torchvision raised."""
        try:
            for train in (True, False):
                cls().open_published(data_root(), train, download=True)
        except Exception as error:
            raise NotDownloaded(append_quirk(str(error), cls.quirk)) from error

    def load(self) -> Split:
        try:
            sides = [
                self.make_examples(self.open_published(data_root(), train))
                for train in (True, False)
            ]
        except TORCHVISION_ERRORS as error:
            raise NotDownloaded(self.describe_error(error)) from error
        return Split({IMAGE: sides[0]}, {IMAGE: sides[1]})

    def describe_error(self, error: Exception) -> str:
        """What is wrong, and what to do about it."""
        remedy = f"run `ganbench download {self.name}`"
        if "not found" in str(error):  # torchvision's words of all its sets
            what = f"{self.name} is not on this machine: {remedy}, or put torchvision's files under {data_root()}"
        else:
            what = f"{self.name} under {data_root()} is damaged: delete it and {remedy}"
        return append_quirk(what, self.quirk)


def append_quirk(told: str, quirk: str) -> str:
    return f"{told} ({quirk})" if quirk else told


def make_labelled_examples(images: np.ndarray[Any, Any], labels: Any) -> Examples:
    """uint8 [N, C, H, W] and their labels [N], as torchvision keeps them."""
    labels = torch.from_numpy(np.array(labels, dtype=np.int64))
    return Examples(torch.from_numpy(np.ascontiguousarray(images)), labels)
