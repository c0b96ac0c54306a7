"""Stacked MNIST (Metz et al., 2017): three digits as channels, 1,000 modes.

The numbers of examples are those of Srivastava et al. (2017).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from .base import IMAGE, Shape, Split
from .mnist import MNIST
from .stacked import StackedData, stack_split

TRAIN, HELD_OUT = 128_000, 26_000


@dataclass(frozen=True)
class StackedMnist(StackedData):
    """128,000 training and 26,000 held-out stacks; 26,000 fakes are measured, as published.

    ganbench ships no weights for its extractor: train them on this machine.
    """

    extractor: ClassVar[str] = "stacked(of='mnist')"

    shapes: Mapping[str, Shape] = field(init=False, default_factory=lambda: {IMAGE: (3, 32, 32)})

    @classmethod
    def download(cls) -> None:
        MNIST.download()

    def load(self) -> Split:
        return stack_split(MNIST().load(), TRAIN, HELD_OUT)
