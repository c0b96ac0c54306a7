"""Restyled motion: two clips of digits, and the second digit on the path of the first.

An example of domain `sources` is a clip that gives the motion, followed in time by a clip of another
digit that gives the content. Its correct transfer is known, because a law draws the clips. Domain
`clip` has other clips of single digits, as transfers should look. So errors can be measured although
training has no pairs.

The digits, the directions and the speeds are those of `moving_digits`. A class is the content's digit
with the motion's first direction: 4 · digit + direction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch

from .base import IMAGE, Data, Examples, Shape, Split
from .bouncing import DIRECTIONS
from .digits import Digits
from .moving_digits import CLASSES, HELD_OUT, TRAIN, MovingDigits, pick_digits

SOURCES, CLIP = "sources", "clip"  # domains
DIGIT_CLASSES = 10
TRANSFER_SEED = 2019


@dataclass(frozen=True)
class RestyledMotion(Data):
    """Sources [1, 2 · frames, side, side] and clips [1, frames, side, side], with labels."""

    has_targets: ClassVar[bool] = True
    extractor: ClassVar[str] = "clip_classifier"
    watch: ClassVar[tuple[str, ...]] = ("recall", "modes(share=0.1)")

    frames: int = 8
    side: int = 16
    shapes: Mapping[str, Shape] = field(
        init=False,
        default_factory=lambda: {SOURCES: (1, 16, 16, 16), CLIP: (1, 8, 16, 16)},
    )
    classes: int = field(init=False, default=CLASSES)

    def __post_init__(self) -> None:
        channels, frames, *sides = self.clips.shapes[IMAGE]
        shapes = {SOURCES: (channels, 2 * frames, *sides), CLIP: (channels, frames, *sides)}
        object.__setattr__(self, "shapes", shapes)

    @property
    def clips(self) -> MovingDigits:
        """The data set of single clips; raises ValueError for impossible settings."""
        return MovingDigits(self.frames, self.side)

    def load(self) -> Split:
        digits = Digits().load()
        return Split(
            self.draw_domains(digits.train[IMAGE], TRAIN, 0),
            self.draw_domains(digits.held_out[IMAGE], HELD_OUT, 1),
            law=self.clips.law,
        )

    def draw_domains(self, digits: Examples, count: int, stream: int) -> dict[str, Examples]:
        """Draws sources with their transfers, and other clips, from a random stream."""
        random = np.random.default_rng([TRANSFER_SEED, stream])
        sources = self.draw_transfers(digits, count, random)
        clips, labels = self.clips.draw_clips(digits, list(range(CLASSES)), count, random)
        return {SOURCES: sources, CLIP: Examples(clips, labels)}

    def draw_transfers(self, digits: Examples, count: int, random: np.random.Generator) -> Examples:
        """Draws two clips of different digits, and the transfer of the first's motion."""
        moved = torch.from_numpy(random.integers(DIGIT_CLASSES, size=count))
        others = torch.from_numpy(random.integers(1, DIGIT_CLASSES, size=count))
        shown = (moved + others) % DIGIT_CLASSES
        mover, content = (
            digits.images[pick_digits(digits, wanted, random)] for wanted in (moved, shown)
        )
        direction, own = torch.from_numpy(random.integers(len(DIRECTIONS), size=(2, count)))
        places, own_places = (self.clips.draw_places(x, random) for x in (direction, own))
        render = self.clips.render_clips
        sources = torch.cat([render(mover, places), render(content, own_places)], 2)
        labels = len(DIRECTIONS) * shown + direction
        return Examples(sources, labels, render(content, places))
