"""Stacked MNIST (Metz et al., 2017; sizes of Srivastava et al., 2017): three digits as channels, a thousand modes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from .base import IMAGE, Shape, Split
from .mnist import MNIST
from .stacked import StackedData, stack_split

TRAIN, HELD_OUT = 128_000, 26_000


@dataclass(frozen=True)
class StackedMnist(StackedData):
    """26,000 fakes are measured, as published; its extractor has to be trained on the machine."""

    extractor: ClassVar[str] = "stacked(of='mnist')"

    shapes: Mapping[str, Shape] = field(init=False, default_factory=lambda: {IMAGE: (3, 32, 32)})

    @classmethod
    def download(cls) -> None:
        MNIST.download()

    def load(self) -> Split:
        return stack_split(MNIST().load(), TRAIN, HELD_OUT)
