"""Digits (Alpaydin and Kaynak, 1998): 1,797 handwritten digits of 8x8 pixels, inside scikit-learn's package."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch

from .base import IMAGE, Data, Examples, Shape, Split

HELD_OUT_DIGITS = 600  # of 1,797
SPLIT_SEED = 2014  # stratified by label, the same for everybody


@dataclass(frozen=True)
class Digits(Data):
    """Sixteen grey levels, spread over 0..255; a third is held out."""

    extractor: ClassVar[str] = "classifier(of='digits')"
    watch: ClassVar[tuple[str, ...]] = ("recall", "modes(share=0.1)")

    shapes: Mapping[str, Shape] = field(init=False, default_factory=lambda: {IMAGE: (1, 8, 8)})
    classes: int = field(init=False, default=10)

    def load(self) -> Split:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        pixels, labels = load_digits(return_X_y=True)
        images = torch.from_numpy(pixels).mul(255 / 16).round().to(torch.uint8).view(-1, 1, 8, 8)
        train, held_out = train_test_split(
            range(len(labels)), test_size=HELD_OUT_DIGITS, random_state=SPLIT_SEED, stratify=labels
        )
        digits = Examples(images, torch.from_numpy(labels).long())
        return Split(
            {IMAGE: select_digits(digits, train)}, {IMAGE: select_digits(digits, held_out)}
        )


def select_digits(examples: Examples, index: list[int]) -> Examples:
    assert examples.labels is not None
    return Examples(examples.images[index].clone(), examples.labels[index].clone())
