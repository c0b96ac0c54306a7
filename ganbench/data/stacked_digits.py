"""Stacked digits (after Metz et al., 2017): three 8x8 digits as channels, 1,000 modes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from .base import IMAGE, Shape, Split
from .digits import Digits
from .stacked import StackedData, stack_split

TRAIN, HELD_OUT = 50_000, 10_000


@dataclass(frozen=True)
class StackedDigits(StackedData):
    """A small version of stacked MNIST from scikit-learn's digits: no download, fast on a CPU."""

    extractor: ClassVar[str] = "stacked(of='digits')"

    shapes: Mapping[str, Shape] = field(init=False, default_factory=lambda: {IMAGE: (3, 8, 8)})

    def load(self) -> Split:
        return stack_split(Digits().load(), TRAIN, HELD_OUT)
