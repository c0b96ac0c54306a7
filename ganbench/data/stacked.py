"""Stacks (Metz et al., 2017; protocol of Srivastava et al., 2017): three digits as the channels of an image.

Which digit each channel shows makes a thousand modes, about equally frequent. Stacks are drawn once,
with replacement, those held out from digits that are held out.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch

from .base import IMAGE, MIXTURE_SEED, Data, Examples, Split


@dataclass(frozen=True)
class StackedData(Data):
    """The label is the number that the three channels spell: 0 to 999."""

    # Reverse KL is measured against the reals' own frequencies: many, since K - 1 over twice their
    # number is added to its bias.
    reference: ClassVar[int] = 50_000
    watch: ClassVar[tuple[str, ...]] = ("modes",)

    classes: int = field(init=False, default=1000)


def stack_split(digits: Split, train: int, held_out: int) -> Split:
    """So many stacks of each side of a set of digits."""
    sides = ((digits.train, train), (digits.held_out, held_out))
    drawn = [draw_stacks(side[IMAGE], count, stream) for stream, (side, count) in enumerate(sides)]
    return Split({IMAGE: drawn[0]}, {IMAGE: drawn[1]})


def draw_stacks(digits: Examples, count: int, stream: int) -> Examples:
    """Stacks [count, 3, H, W] of images [N, 1, H, W], from a generator of their own."""
    assert digits.labels is not None
    random = np.random.default_rng([MIXTURE_SEED, stream])
    chosen = torch.from_numpy(random.integers(len(digits), size=(count, 3)))
    labels = digits.labels[chosen] @ torch.tensor([100, 10, 1])
    return Examples(digits.images[chosen].squeeze(2), labels)
