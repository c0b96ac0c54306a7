"""Restyled digits: unpaired domains with a known answer, ink on shaded paper for light on dark.

Domain `a` has scikit-learn's digits as they are, domain `b` other digits in dark ink on paper that is
white on the left and grey on the right. The same change of `a` is what its translation should be, so
that errors are measured although nobody trains on pairs. Held-out digits are in both domains.
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

    def load(self) -> Split:
        digits = Digits().load()
        train, held_out = digits.train[IMAGE], digits.held_out[IMAGE]
        return Split(
            {"a": plain(train, slice(0, None, 2)), "b": inked(train, slice(1, None, 2))},
            {"a": plain(held_out, slice(None)), "b": inked(held_out, slice(None))},
        )


def plain(digits: Examples, which: slice) -> Examples:
    return chosen(digits.images, restyled(digits.images), digits.labels, which)


def inked(digits: Examples, which: slice) -> Examples:
    return chosen(restyled(digits.images), digits.images, digits.labels, which)


def chosen(images: Tensor, truth: Tensor, labels: Tensor | None, which: slice) -> Examples:
    assert labels is not None
    return Examples(images[which].clone(), labels[which].clone(), truth[which].clone())


def restyled(images: Tensor) -> Tensor:
    """Light on dark, uint8 [N, 1, H, W] => dark ink on shaded paper, rounded to the nearest level."""
    paper = torch.linspace(LIGHTEST, DARKEST, images.shape[3])
    return (paper * (1 - images.double() / 255)).round().to(torch.uint8)
