"""Stacked digits (after Metz et al., 2017): three of scikit-learn's 8x8 digits as channels, a thousand modes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from .base import IMAGE, Shape, Split
from .digits import Digits
from .stacked import StackedData, stack_split

TRAIN, HELD_OUT = 50_000, 10_000


@dataclass(frozen=True)
class StackedDigits(StackedData):
    """What stacked MNIST asks, in a size for the CPU and without a download."""

    extractor: ClassVar[str] = "stacked(of='digits')"

    shapes: Mapping[str, Shape] = field(init=False, default_factory=lambda: {IMAGE: (3, 8, 8)})

    def load(self) -> Split:
        return stack_split(Digits().load(), TRAIN, HELD_OUT)
