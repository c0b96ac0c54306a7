"""CelebA (Liu et al., 2015): 202,599 aligned faces of 178x218 pixels.

The central square of each face is resized.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from .base import IMAGE, Examples
from .image_ops import check_image_size, stack_squares
from .torchvision_dataset import TorchvisionDataset

CELEBA_CROP_PIXELS = 178


@dataclass(frozen=True)
class CelebA(TorchvisionDataset):
    """The official split: 162,770 training images and 19,962 held-out (test) images.

    There are no labels, because the forty attributes are not classes.
    """

    name: ClassVar[str] = "celeba"
    quirk: ClassVar[str] = (
        "the package gdown downloads it from Google Drive; if that fails, save its files with a browser "
        "in the subfolder celeba and repeat the download, which unpacks them"
    )

    size: int = 64

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "shapes", {IMAGE: (3, check_image_size(self.size, CELEBA_CROP_PIXELS), self.size)}
        )

    def open_published(self, place: Path, train: bool, download: bool = False) -> Any:
        from torchvision.datasets import CelebA

        split = "train" if train else "test"
        return CelebA(place, split=split, target_type=[], download=download)

    def make_examples(self, published: Any) -> Examples:
        images = (open_face(published, index) for index in range(len(published)))
        return Examples(stack_squares(images, len(published), self.shapes[IMAGE]))


def open_face(published: Any, index: int) -> Image.Image:
    """Returns one face, fully read, so that its file is closed."""
    image: Image.Image = published[index][0]
    image.load()
    return image
