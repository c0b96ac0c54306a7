"""The base class of data sets that torchvision downloads and reads."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from .base import IMAGE, Data, Examples, NotDownloaded, Split
from .paths import data_root

# Errors of torchvision for missing, truncated or damaged files.
TORCHVISION_ERRORS = (RuntimeError, ValueError, AssertionError, LookupError, EOFError, OSError)


@dataclass(frozen=True)
class TorchvisionDataset(Data):
    """A data set with an official split. The official test split is held out."""

    name: ClassVar[str]
    quirk: ClassVar[str] = ""  # a note on its download, for messages
    extractor: ClassVar[str] = "inception"

    def open_published(self, place: Path, train: bool, download: bool = False) -> Any:
        """Returns torchvision's data set of one split, stored under the folder `place`."""
        raise NotImplementedError

    def make_examples(self, published: Any) -> Examples:
        """Converts torchvision's data set of one split to examples."""
        raise NotImplementedError

    @classmethod
    def download(cls) -> None:
        """Downloads both splits; raises NotDownloaded for any error of torchvision."""
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
        """Returns the problem and the remedy."""
        remedy = f"run `ganbench download {self.name}`"
        if "not found" in str(error):  # the wording of torchvision for all its data sets
            what = f"{self.name} is not on this machine: {remedy}, or put torchvision's files under {data_root()}"
        else:
            what = f"{self.name} under {data_root()} is damaged: delete it and {remedy}"
        return append_quirk(what, self.quirk)


def append_quirk(told: str, quirk: str) -> str:
    return f"{told} ({quirk})" if quirk else told


def make_labelled_examples(images: np.ndarray[Any, Any], labels: Any) -> Examples:
    """Returns examples from NumPy images, uint8 [N, C, H, W], and labels [N]."""
    labels = torch.from_numpy(np.array(labels, dtype=np.int64))
    return Examples(torch.from_numpy(np.ascontiguousarray(images)), labels)
