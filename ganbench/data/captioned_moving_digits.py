"""Captioned moving digits (after Mittal et al., 2017): clips with a sentence each.

"digit 5 is moving right slowly" is one of 80 sentences of a digit, a direction and a speed. Clips and the
law are those of `moving_digits`: slow is one sixteenth of the side in each frame, fast are two. Pairs of a
digit and a direction are never shown in training if digit and direction add up to a multiple of five. A
third of the held-out clips show such pairs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from .base import IMAGE, Data, Examples, Shape, Split
from .bouncing import DIRECTIONS, BouncingLaw
from .captions import Captions, Grammar
from .digits import Digits
from .draw_sentences import draw_sentences
from .moving_digits import CLIP_SEED, MovingDigits, pick_digits

SPEED_WORDS = ("slowly", "fast")  # in the order of SPEEDS
MOTION_VALUES = {
    "digit": tuple(map(str, range(10))),
    "direction": DIRECTIONS,
    "speed": SPEED_WORDS,
}
# The numbers of digit, direction and speed of each sentence, [80, 3]
STATED_MOTIONS = torch.tensor(list(product(range(10), range(len(DIRECTIONS)), range(2))))
TRAIN, HELD_OUT = 8_000, 2_000
UNSEEN_SHARE = 1 / 3  # of the held-out clips


@dataclass(frozen=True)
class CaptionedMovingDigits(Data):
    """Clips [1, frames, side, side]; labels are the numbers of 80 sentences of 19 words."""

    extractor: ClassVar[str] = "motion_classifier"

    frames: int = 8
    side: int = 16
    shapes: Mapping[str, Shape] = field(init=False, default_factory=lambda: {IMAGE: (1, 8, 16, 16)})
    classes: int = field(init=False, default=len(STATED_MOTIONS))

    def __post_init__(self) -> None:
        object.__setattr__(self, "shapes", self.clips.shapes)

    @property
    def clips(self) -> MovingDigits:
        """The data set whose law the clips obey; raises ValueError for other frames or sides."""
        return MovingDigits(frames=self.frames, side=self.side)

    @property
    def law(self) -> BouncingLaw:
        return self.clips.law

    @cached_property
    def captions(self) -> Captions:
        sentences = tuple(
            f"digit {digit} is moving {direction} {speed}"
            for digit, direction, speed in product(*MOTION_VALUES.values())
        )
        return Captions(sentences, Grammar(MOTION_VALUES, STATED_MOTIONS, unseen_motions()))

    def load(self) -> Split:
        digits = Digits().load()
        train = self.draw_examples(digits.train[IMAGE], TRAIN, 0.0, stream=2)
        held_out = self.draw_examples(digits.held_out[IMAGE], HELD_OUT, UNSEEN_SHARE, stream=3)
        return Split({IMAGE: train}, {IMAGE: held_out}, law=self.law)

    def draw_examples(
        self, digits: Examples, count: int, unseen_share: float, stream: int
    ) -> Examples:
        """Draws clips with sentences from a random stream, with replacement of digits."""
        random = np.random.default_rng([CLIP_SEED, stream])
        labels = draw_motions(count, unseen_share, random)
        digit, direction, speed = STATED_MOTIONS[labels].unbind(1)
        shown = pick_digits(digits, digit, random)
        places = self.clips.draw_places_at(direction, speed, random)
        return Examples(self.clips.render_clips(digits.images[shown], places), labels)


def unseen_motions() -> Tensor:
    """Returns which sentences training never shows: bool [80]."""
    return STATED_MOTIONS[:, :2].sum(1) % 5 == 0


def draw_motions(count: int, unseen_share: float, random: np.random.Generator) -> Tensor:
    """Draws numbers of sentences, a share of them with unseen pairs: int64 [count]."""
    wanted = random.random((count, 1)) < unseen_share
    return draw_sentences(unseen_motions()[:, None].numpy(), wanted, random)
