"""STL-10 (Coates et al., 2011): photographs of 96x96 pixels in ten classes, resized."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from PIL import Image

from .base import IMAGE, Examples
from .image_ops import check_image_size, stack_squares
from .torchvision_dataset import TorchvisionDataset

STL10_PIXELS = 96


@dataclass(frozen=True)
class STL10(TorchvisionDataset):
    """5,000 labelled training images and 8,000 held-out images.

    Most papers train on the 100,000 unlabelled images at 48 pixels: `stl10(size=48, unlabelled=true)`.
    """

    name: ClassVar[str] = "stl10"
    quirk: ClassVar[str] = "2.6 GB, which always includes both parts"

    size: int = 64
    unlabelled: bool = False

    def __post_init__(self) -> None:
        shape = (3, check_image_size(self.size, STL10_PIXELS), self.size)
        object.__setattr__(self, "shapes", {IMAGE: shape})
        object.__setattr__(self, "classes", 0 if self.unlabelled else 10)

    def open_published(self, place: Path, train: bool, download: bool = False) -> Any:
        from torchvision.datasets import STL10

        training = "unlabeled" if self.unlabelled else "train"
        return STL10(place, split=training if train else "test", download=download)

    def make_examples(self, published: Any) -> Examples:
        pixels = published.data.transpose(0, 2, 3, 1)
        images = stack_squares(map(Image.fromarray, pixels), len(pixels), self.shapes[IMAGE])
        labels = None if self.unlabelled else torch.from_numpy(published.labels).long()
        return Examples(images, labels)
