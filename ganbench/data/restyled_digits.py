"""Restyled digits: two unpaired domains with known translations.

Domain `a` has scikit-learn's digits, light on dark. Domain `b` has other digits in dark ink on paper that
shades from white on the left to grey on the right. Without `inverted`, domain `b` is the negative of that:
light ink on paper that is black on the left. The correct translation of each digit is known, so errors can
be measured although training has no pairs. Held-out digits are in both domains.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from .base import IMAGE, Data, Examples, Shape, Split
from .digits import Digits

LIGHTEST, DARKEST = 255.0, 145.0  # grey level of the paper at the left and right edge


@dataclass(frozen=True)
class RestyledDigits(Data):
    """Images [1, 8, 8] in domains `a` and `b`, with labels and the correct translations."""

    has_targets: ClassVar[bool] = True
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
        """Converts digits of domain `a` to domain `b`, rounded: uint8 [N, 1, H, W]."""
        paper = torch.linspace(LIGHTEST, DARKEST, images.shape[3])
        inked = (paper * (1 - images.double() / 255)).round().to(torch.uint8)
        return inked if self.inverted else 255 - inked


def pair_with_truth(digits: Examples, images: Tensor, truth: Tensor, which: slice) -> Examples:
    """Returns the selected digits as examples, with `truth` as their correct translations."""
    assert digits.labels is not None
    return Examples(images[which].clone(), digits.labels[which].clone(), truth[which].clone())
