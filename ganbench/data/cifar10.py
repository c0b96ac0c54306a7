"""CIFAR-10 (Krizhevsky, 2009): 60,000 photographs of 32x32 pixels in ten classes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from .base import IMAGE, Examples, Shape
from .torchvision_dataset import TorchvisionDataset, make_labelled_examples


@dataclass(frozen=True)
class CIFAR10(TorchvisionDataset):
    """The official split: 50,000 training images and 10,000 held-out images, with labels.

    The published files are pickles, which can run code. torchvision opens a file only if its MD5 is the
    published one.
    """

    name: ClassVar[str] = "cifar10"

    shapes: Mapping[str, Shape] = field(init=False, default_factory=lambda: {IMAGE: (3, 32, 32)})
    classes: int = field(init=False, default=10)

    def open_published(self, place: Path, train: bool, download: bool = False) -> Any:
        from torchvision.datasets import CIFAR10

        return CIFAR10(place, train=train, download=download)

    def make_examples(self, published: Any) -> Examples:
        return make_labelled_examples(published.data.transpose(0, 3, 1, 2), published.targets)
