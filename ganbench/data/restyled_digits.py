"""Restyled digits: unpaired domains with a known answer, ink on shaded paper for light on dark.

Domain `a` has scikit-learn's digits as they are, domain `b` other digits in dark ink on paper that is
white on the left and grey on the right; if not `inverted`, its negative: light ink on paper that is black
on the left. The same change of `a` is what its translation should be, so that errors are measured although
nobody trains on pairs. Held-out digits are in both domains.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from .base import IMAGE, Data, Examples, Shape, Split
from .digits import Digits

LIGHTEST, DARKEST = 255.0, 145.0  # the paper's left and right edge


@dataclass(frozen=True)
class RestyledDigits(Data):
    extractor: ClassVar[str] = "classifier(of='digits')"

    shapes: Mapping[str, Shape] = field(
        init=False, default_factory=lambda: {"a": (1, 8, 8), "b": (1, 8, 8)}
    )
    classes: int = field(init=False, default=10)

    inverted: bool = True

    def load(self) -> Split:
        digits = Digits().load()
        train, held_out = digits.train[IMAGE], digits.held_out[IMAGE]
        return Split(
            {
                "a": self.plain_examples(train, slice(0, None, 2)),
                "b": self.restyled_examples(train, slice(1, None, 2)),
            },
            {
                "a": self.plain_examples(held_out, slice(None)),
                "b": self.restyled_examples(held_out, slice(None)),
            },
        )

    def plain_examples(self, digits: Examples, which: slice) -> Examples:
        return pair_with_truth(digits, digits.images, self.restyle(digits.images), which)

    def restyled_examples(self, digits: Examples, which: slice) -> Examples:
        return pair_with_truth(digits, self.restyle(digits.images), digits.images, which)

    def restyle(self, images: Tensor) -> Tensor:
        """Light on dark, uint8 [N, 1, H, W] => in ink on paper, rounded to the nearest level."""
        paper = torch.linspace(LIGHTEST, DARKEST, images.shape[3])
        inked = (paper * (1 - images.double() / 255)).round().to(torch.uint8)
        return inked if self.inverted else 255 - inked


def pair_with_truth(digits: Examples, images: Tensor, truth: Tensor, which: slice) -> Examples:
    """Those digits, as these images, which should become those."""
    assert digits.labels is not None
    return Examples(images[which].clone(), digits.labels[which].clone(), truth[which].clone())
