"""Digits (Alpaydin and Kaynak, 1998): 1,797 handwritten digits of 8x8 pixels.

The package scikit-learn contains the data.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from .base import IMAGE, Data, Examples, Shape, Split

# scikit-learn's `train_test_split(range(1797), test_size=600, random_state=2014, stratify=labels)`
SPLIT_FILE = Path(__file__).parent / "digits_split.json"


@dataclass(frozen=True)
class Digits(Data):
    """One channel; grey levels 0..16 scaled to 0..255; 600 of 1,797 images are held out."""

    extractor: ClassVar[str] = "classifier(of='digits')"
    watch: ClassVar[tuple[str, ...]] = ("recall", "modes(share=0.1)")

    shapes: Mapping[str, Shape] = field(init=False, default_factory=lambda: {IMAGE: (1, 8, 8)})
    classes: int = field(init=False, default=10)

    def load(self) -> Split:
        images, labels = read_digits()
        index = json.loads(SPLIT_FILE.read_text(encoding="utf-8"))
        train, held_out = (
            Examples(images[index[side]], labels[index[side]]) for side in ("train", "held_out")
        )
        return Split({IMAGE: train}, {IMAGE: held_out})


def read_digits() -> tuple[Tensor, Tensor]:
    """Returns all images, uint8 [1797, 1, 8, 8], and labels, int64 [1797].

    Reads scikit-learn's file without importing scikit-learn: the import takes one second per worker.
    """
    package = find_spec("sklearn")
    assert package
    assert package.origin
    path = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    table = torch.from_numpy(np.loadtxt(path, delimiter=","))
    images = table[:, :-1].mul(255 / 16).round().to(torch.uint8).view(-1, 1, 8, 8)
    return images, table[:, -1].long()
