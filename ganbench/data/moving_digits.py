"""Moving digits (after Srivastava et al., 2015): clips in which a digit moves and bounces.

A digit of scikit-learn moves right, left, down or up by one or two sixteenths of the side in each
frame. It is reflected at the border. The first step never reaches beyond the border, so it shows
the direction. A class is a digit with the direction of the first step: 4 · digit + direction.

The digits of held-out clips are held-out digits. `unseen` keeps classes out of the training split:
for n unseen classes, no digit d below n moves in direction d mod 4. Held-out clips have all
classes. Two digits move independently, and the brighter of two pixels is shown; such clips have no
classes.

With `of='fashion_mnist'` a garment moves instead of the digit. No classifier of garments is shipped.
So features are pixels and their changes, and metrics of classes do not apply.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from .base import IMAGE, Data, Examples, Shape, Split
from .bouncing import DIRECTIONS, BouncingLaw, bounce, velocity_of
from .image_ops import resize_by_area
from .objects import ObjectKind, load_objects

TRAIN, HELD_OUT = 8_000, 2_000
CLIP_SEED = 2015
DIGIT_SIDE, SMALLEST_SIDE = 8, 16
MIN_FRAMES, MAX_FRAMES = 8, 16
SIDES = (16, 32, 64)
SPEEDS = (1, 2)  # sixteenths of the side, per frame
CLASSES = 10 * len(DIRECTIONS)


@dataclass(frozen=True)
class MovingDigits(Data):
    """Clips [1, frames, side, side] of one digit with known motion, or of two digits."""

    extractor: ClassVar[str] = "clip_classifier"
    watch: ClassVar[tuple[str, ...]] = ("recall", "modes(share=0.1)")
    neutral: ClassVar[dict[str, Any]] = {"unseen": 0, "of": "digits"}

    frames: int = 8
    side: int = 16
    digits: int = 1
    unseen: int = 0
    of: ObjectKind = "digits"
    shapes: Mapping[str, Shape] = field(init=False, default_factory=lambda: {IMAGE: (1, 8, 16, 16)})
    classes: int = field(init=False, default=CLASSES)

    def __post_init__(self) -> None:
        if not MIN_FRAMES <= self.frames <= MAX_FRAMES:
            raise ValueError(f"frames must lie in {MIN_FRAMES}..{MAX_FRAMES}, not {self.frames}")
        if self.side not in SIDES:
            raise ValueError(f"side must be 16, 32 or 64, not {self.side}")
        if self.digits not in (1, 2):
            raise ValueError(f"a clip has one or two digits, not {self.digits}")
        if not 0 <= self.unseen <= 10 or (self.unseen and self.digits == 2):
            raise ValueError("unseen must lie in 0..10, and be 0 for clips of two digits")
        object.__setattr__(self, "shapes", {IMAGE: (1, self.frames, self.side, self.side)})
        if self.digits == 2:
            object.__setattr__(self, "classes", 0)
            object.__setattr__(self, "extractor", "clip_classifier(classes=false)")
        if self.of != "digits":
            object.__setattr__(self, "extractor", "frame_features(of='identity')")

    @property
    def scale(self) -> int:
        """The side of a digit's pixel."""
        return self.side // SMALLEST_SIDE

    @property
    def law(self) -> BouncingLaw:
        speeds = tuple(self.scale * speed for speed in SPEEDS)
        return BouncingLaw(self.frames, self.side - self.scale * DIGIT_SIDE, speeds)

    @property
    def seen_classes(self) -> list[int]:
        """The classes in the training split."""
        left_out = {len(DIRECTIONS) * digit + digit % 4 for digit in range(self.unseen)}
        return [label for label in range(CLASSES) if label not in left_out]

    def load(self) -> Split:
        objects = map(self.resize_objects, load_objects(self.of))
        train = self.draw_examples(next(objects), self.seen_classes, TRAIN, 0)
        held_out = self.draw_examples(next(objects), list(range(CLASSES)), HELD_OUT, 1)
        law = self.law if self.digits == 1 else None
        return Split({IMAGE: train}, {IMAGE: held_out}, law=law)

    def resize_objects(self, objects: Examples) -> Examples:
        """Returns garments at the size at which they move; digits are enlarged when drawn."""
        if self.of == "digits":
            return objects
        return Examples(resize_by_area(objects.images, DIGIT_SIDE * self.scale), objects.labels)

    def draw_examples(
        self, digits: Examples, classes: list[int], count: int, stream: int
    ) -> Examples:
        """Draws clips with equally likely classes from a random stream."""
        random = np.random.default_rng([CLIP_SEED, stream])
        clips, labels = self.draw_clips(digits, classes, count, random)
        if self.digits == 1:
            return Examples(clips, labels)
        others, _ = self.draw_clips(digits, classes, count, random)
        return Examples(clips.maximum(others))

    def draw_clips(
        self, digits: Examples, classes: list[int], count: int, random: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draws clips of one digit, uint8 [N, 1, T, H, W], with their classes [N]."""
        label = torch.tensor(classes)[random.integers(len(classes), size=count)]
        shown = pick_digits(digits, label // len(DIRECTIONS), random)
        places = self.draw_places(label % len(DIRECTIONS), random)
        return self.render_clips(digits.images[shown], places), label

    def draw_places(self, direction: Tensor, random: np.random.Generator) -> Tensor:
        """Draws rows and columns of the upper left corner: directions [N] => int64 [N, T, 2]."""
        number = torch.from_numpy(random.integers(len(SPEEDS), size=len(direction)))
        return self.draw_places_at(direction, number, random)

    def draw_places_at(
        self, direction: Tensor, speed: Tensor, random: np.random.Generator
    ) -> Tensor:
        """Draws places as `draw_places`, for numbers of speeds [N]."""
        law, count = self.law, len(direction)
        speed = torch.tensor(law.speeds)[speed]
        velocity = velocity_of(direction, speed)
        free = law.width - velocity.abs()  # the first step stays within the walls
        start = (torch.from_numpy(random.random((count, 2))) * (free + 1)).long()
        start += velocity.neg().clamp(min=0)
        time = torch.arange(law.frames)[:, None]
        return bounce(start[:, None], velocity[:, None], time, law.width)

    def render_clips(self, digits: Tensor, places: Tensor) -> Tensor:
        """Puts digits uint8 [N, 1, D, D] at places [N, T, 2]: uint8 [N, 1, T, H, W]."""
        factor = DIGIT_SIDE * self.scale // digits.shape[2]
        large = digits[:, 0].repeat_interleave(factor, 1).repeat_interleave(factor, 2)
        clips = torch.zeros(len(digits), self.frames, self.side, self.side, dtype=torch.uint8)
        reach = torch.arange(large.shape[1])
        rows, columns = (places[:, :, axis, None] + reach for axis in (0, 1))
        clip = torch.arange(len(digits))[:, None, None, None]
        frame = torch.arange(self.frames)[:, None, None]
        clips[clip, frame, rows[:, :, :, None], columns[:, :, None]] = large[:, None]
        return clips[:, None]


def pick_digits(digits: Examples, wanted: Tensor, random: np.random.Generator) -> Tensor:
    """Draws the index of an image of each wanted digit: [N] => [N]."""
    assert digits.labels is not None
    order = digits.labels.argsort(stable=True)
    counts = digits.labels.bincount(minlength=10)
    first = counts.cumsum(0) - counts
    share = torch.from_numpy(random.random(len(wanted)))
    return order[first[wanted] + (share * counts[wanted]).long()]
