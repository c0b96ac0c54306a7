"""CIFAR-100 (Krizhevsky, 2009): 60,000 photographs of 32x32 pixels in a hundred classes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from .cifar10 import CIFAR10


@dataclass(frozen=True)
class CIFAR100(CIFAR10):
    """The official split with the 100 fine labels."""

    name: ClassVar[str] = "cifar100"

    classes: int = field(init=False, default=100)

    def open_published(self, place: Path, train: bool, download: bool = False) -> Any:
        from torchvision.datasets import CIFAR100

        return CIFAR100(place, train=train, download=download)
