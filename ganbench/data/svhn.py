"""SVHN (Netzer et al., 2011): 99,289 house numbers of 32x32 pixels.

The label is the digit in the middle.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from .base import IMAGE, Examples, Shape
from .torchvision_dataset import TorchvisionDataset, make_labelled_examples


@dataclass(frozen=True)
class SVHN(TorchvisionDataset):
    """73,257 training and 26,032 held-out images.

    The 531,131 easier images, published as `extra`, are not used.
    """

    name: ClassVar[str] = "svhn"

    shapes: Mapping[str, Shape] = field(init=False, default_factory=lambda: {IMAGE: (3, 32, 32)})
    classes: int = field(init=False, default=10)

    def open_published(self, place: Path, train: bool, download: bool = False) -> Any:
        from torchvision.datasets import SVHN

        return SVHN(place, split="train" if train else "test", download=download)

    def make_examples(self, published: Any) -> Examples:
        return make_labelled_examples(published.data, published.labels)
