"""Stacks (Metz et al., 2017; Srivastava et al., 2017): three digits as channels.

The digits of the three channels give 1,000 modes of about equal frequency. Stacks are drawn once, with
replacement. Held-out stacks consist of held-out digits. The protocol is that of Srivastava et al.
(2017).
"""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch

from .base import IMAGE, MIXTURE_SEED, Data, Examples, Split


@dataclass(frozen=True)
class StackedData(Data):
    """The base class of stacks. The label is the number of the three digits, 0 to 999."""

    # Reverse KL compares with the mode frequencies of the reference data. Its bias grows by
    # (K - 1) / (2 N) for N reference images, so N is large.
    reference: ClassVar[int] = 50_000
    watch: ClassVar[tuple[str, ...]] = ("modes",)

    classes: int = field(init=False, default=1000)


def stack_split(digits: Split, train: int, held_out: int) -> Split:
    """Draws `train` and `held_out` stacks from the two sides of a digit data set."""
    sides = ((digits.train, train), (digits.held_out, held_out))
    drawn = [draw_stacks(side[IMAGE], count, stream) for stream, (side, count) in enumerate(sides)]
    return Split({IMAGE: drawn[0]}, {IMAGE: drawn[1]})


def draw_stacks(digits: Examples, count: int, stream: int) -> Examples:
    """Draws stacks [count, 3, H, W] of images [N, 1, H, W] from the random stream `stream`."""
    assert digits.labels is not None
    random = np.random.default_rng([MIXTURE_SEED, stream])
    chosen = torch.from_numpy(random.integers(len(digits), size=(count, 3)))
    labels = digits.labels[chosen] @ torch.tensor([100, 10, 1])
    return Examples(digits.images[chosen].squeeze(2), labels)
