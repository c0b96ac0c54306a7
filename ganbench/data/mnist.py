"""MNIST (LeCun et al., 1998): 70,000 handwritten digits of 28x28 pixels.

The images are zero-padded to 32x32.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from torch.nn.functional import pad

from .base import IMAGE, Examples, Shape
from .torchvision_dataset import TorchvisionDataset

MARGIN_PIXELS = 2  # convolutional networks need sides that are a power of two
PADDED_PIXELS = 32


@dataclass(frozen=True)
class MNIST(TorchvisionDataset):
    """One channel, ten classes, 60,000 training images and 10,000 held-out images.

    The zero padding is part of the images for networks, extractors and metrics.
    """

    name: ClassVar[str] = "mnist"

    shapes: Mapping[str, Shape] = field(
        init=False, default_factory=lambda: {IMAGE: (1, PADDED_PIXELS, PADDED_PIXELS)}
    )
    classes: int = field(init=False, default=10)

    def open_published(self, place: Path, train: bool, download: bool = False) -> Any:
        from torchvision.datasets import MNIST

        return MNIST(place, train=train, download=download)

    def make_examples(self, published: Any) -> Examples:
        return Examples(pad(published.data, 4 * [MARGIN_PIXELS])[:, None], published.targets.long())
