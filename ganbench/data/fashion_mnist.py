"""Fashion-MNIST (Xiao et al., 2017): 70,000 images of clothing, zero-padded to 32x32.

The format is that of MNIST. Debian and Ubuntu have the data as the package `dataset-fashion-mnist`. If it
is installed, ganbench reads it and needs no download. With `size=16` or `size=8` each pixel is the mean of
2x2 or 4x4 padded ones, to see whether findings hold at another size.
"""

import gzip
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from .base import IMAGE, Examples
from .image_ops import resize_by_area
from .mnist import MNIST, PADDED_PIXELS

SIZES = (8, 16, PADDED_PIXELS)  # pixels
DEBIAN_PACKAGE_FOLDER = Path("/usr/share/datasets/fashion-mnist")


@dataclass(frozen=True)
class FashionMNIST(MNIST):
    """One channel, ten classes, 60,000 training images and 10,000 held-out images."""

    name: ClassVar[str] = "fashion_mnist"
    neutral: ClassVar[dict[str, Any]] = {"size": PADDED_PIXELS}
    extractor: ClassVar[str] = "classifier(of='fashion_mnist')"
    watch: ClassVar[tuple[str, ...]] = ("modes(share=0.1)",)

    size: int = PADDED_PIXELS

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise ValueError(f"size must be 8, 16 or 32, not {self.size}")
        if self.size != PADDED_PIXELS:
            own = f"classifier(of='{self.name}(size={self.size})')"
            object.__setattr__(self, "extractor", own)
        object.__setattr__(self, "shapes", {IMAGE: (1, self.size, self.size)})

    def open_published(self, place: Path, train: bool, download: bool = False) -> Any:
        if DEBIAN_PACKAGE_FOLDER.is_dir():
            return read_debian_package("train" if train else "t10k")
        from torchvision.datasets import FashionMNIST

        return FashionMNIST(place, train=train, download=download)

    def make_examples(self, published: Any) -> Examples:
        examples = super().make_examples(published)
        if self.size == PADDED_PIXELS:
            return examples
        return replace(examples, images=resize_by_area(examples.images, self.size))


def read_debian_package(side: str) -> SimpleNamespace:
    """Reads Debian's compressed files. torchvision would have to unpack them first."""
    images, labels = (
        read_idx_file(DEBIAN_PACKAGE_FOLDER / f"{side}-{kind}-ubyte.gz")
        for kind in ("images-idx3", "labels-idx1")
    )
    return SimpleNamespace(data=images, targets=labels)


def read_idx_file(path: Path) -> Tensor:
    """Reads a gzipped IDX file as uint8.

    Its bytes are two zeros, the type, the number of dimensions, the sizes, and the values.
    """
    content = gzip.decompress(path.read_bytes())
    sizes = np.frombuffer(content, ">u4", count=content[3], offset=4)
    values = np.frombuffer(content, np.uint8, offset=4 + sizes.nbytes)
    return torch.from_numpy(values.reshape(sizes).copy())
