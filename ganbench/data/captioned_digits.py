"""Captioned digits: one or two digits of 16x16 pixels in all, and a sentence of them.

"a large dark 3 on the left" has one digit, "a large 3 left of a small 7" two. Digits are light on a
dark ground; of `dark` images the negative is shown. The digits are those of scikit-learn (Alpaydin and
Kaynak, 1998), enlarged to 10x10 pixels or reduced to 6x6. With `of='fashion_mnist'` they are garments, and the
sentences name these: "a small dark coat at the top". No classifier of garments is shipped, so features
are pixels, and metrics that read digits do not apply.

Grey levels are 32 to 223. On a black ground DF-GAN's generator saturates its tanh within 100 steps:
darker is still more real there, and then there is no gradient.

Some combinations are never shown in training: of one digit and its side, and of two digits. A third
of the held-out images show them. So it can be measured whether a generator composes an image from
words that it knows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .base import IMAGE, MIXTURE_SEED, Data, Examples, Shape, Split
from .captions import Captions, Grammar
from .draw_sentences import draw_sentences
from .image_ops import resize_by_area
from .objects import OBJECT_NAMES, ObjectKind, load_objects

SIDE = 16  # pixels of an image
PIXELS = {"large": 10, "small": 6}  # sides of a digit
DARKEST, LIGHTEST = 32, 223  # grey levels
TRAIN, HELD_OUT = 8_000, 2_000
UNSEEN_SHARE = 1 / 3  # of the held-out examples
PAIR_SHARE = 0.5  # of the examples with two digits
NONE = "none"  # the value of an attribute that a sentence does not have

DIGITS = OBJECT_NAMES["digits"]
SIDES, RELATIONS = ("left", "right", "top", "bottom"), ("left of", "above")
VALUES = {
    "digit": DIGITS,
    "size": tuple(PIXELS),
    "polarity": ("light", "dark"),
    "place": (*SIDES, *RELATIONS),
    "second_digit": (NONE, *DIGITS),
    "second_size": (NONE, *PIXELS),
}


class Scene(NamedTuple):
    """The values of a sentence, in the order of VALUES."""

    digit: str
    size: str
    polarity: str
    place: str
    second_digit: str = NONE
    second_size: str = NONE

    def sentence(self, names: tuple[str, ...] = DIGITS) -> str:
        """Returns the sentence, with these names instead of digits."""
        dark = " dark" if self.polarity == "dark" else ""
        first = f"a {self.size}{dark} {names[int(self.digit)]}"
        if self.second_digit == NONE:
            return f"{first} {'at' if self.place in SIDES[2:] else 'on'} the {self.place}"
        return f"{first} {self.place} a {self.second_size} {names[int(self.second_digit)]}"

    def is_unseen(self) -> bool:
        """Returns whether training shows no image of this combination, as of one in five."""
        number = int(self.digit)
        if self.second_digit == NONE:
            return (number + SIDES.index(self.place)) % 5 == 0
        return (number + 2 * int(self.second_digit)) % 5 == 0

    def numbers(self) -> list[int]:
        """Returns the number of each value in VALUES."""
        return [values.index(value) for values, value in zip(VALUES.values(), self, strict=True)]


def iter_scenes() -> Iterator[Scene]:
    """Yields 160 scenes of one digit, then 1,200 of two, of which one at most is large."""
    for digit, size, polarity, place in product(DIGITS, PIXELS, VALUES["polarity"], SIDES):
        yield Scene(digit, size, polarity, place)
    sizes = [("large", "small"), ("small", "large"), ("small", "small")]
    for first, second, polarity, relation in product(DIGITS, DIGITS, VALUES["polarity"], RELATIONS):
        for size, second_size in sizes:
            yield Scene(first, size, polarity, relation, second, second_size)


SCENES = tuple(iter_scenes())


@dataclass(frozen=True)
class CaptionedDigits(Data):
    """One channel, 16x16; labels are the numbers of 1,360 sentences of 23 words.

    `of` is `digits` or `fashion_mnist`.
    """

    extractor: ClassVar[str] = "attribute_classifier(of='captioned_digits')"
    neutral: ClassVar[dict[str, Any]] = {"of": "digits"}

    of: ObjectKind = "digits"
    shapes: Mapping[str, Shape] = field(
        init=False, default_factory=lambda: {IMAGE: (1, SIDE, SIDE)}
    )
    classes: int = field(init=False, default=len(SCENES))

    def __post_init__(self) -> None:
        if self.of != "digits":
            object.__setattr__(self, "extractor", "identity")

    @cached_property
    def captions(self) -> Captions:
        stated = torch.tensor([scene.numbers() for scene in SCENES])
        is_unseen = torch.tensor([scene.is_unseen() for scene in SCENES])
        sentences = tuple(scene.sentence(OBJECT_NAMES[self.of]) for scene in SCENES)
        return Captions(sentences, Grammar(values_of(self.of), stated, is_unseen))

    def load(self) -> Split:
        objects = load_objects(self.of)
        train = draw_examples(objects[0], TRAIN, 0.0, stream=0)
        held_out = draw_examples(objects[1], HELD_OUT, UNSEEN_SHARE, stream=1)
        return Split({IMAGE: train}, {IMAGE: held_out})

    def draw_all_captions(self, number: int) -> Examples:
        """Draws training digits in all combinations, for a classifier that must read them all."""
        digits, _ = load_objects(self.of)
        return draw_examples(digits, TRAIN, UNSEEN_SHARE, stream=2 + number)


def values_of(of: ObjectKind) -> dict[str, tuple[str, ...]]:
    """Returns the values of each attribute; garments have attributes of their own."""
    if of == "digits":
        return VALUES
    names = OBJECT_NAMES[of]
    own = {"digit": ("garment", names), "second_digit": ("second_garment", (NONE, *names))}
    return dict(own.get(name, (name, values)) for name, values in VALUES.items())


def draw_examples(digits: Examples, count: int, unseen_share: float, stream: int) -> Examples:
    """Draws images with sentences from the random stream `stream`, with replacement of digits."""
    random = np.random.default_rng([MIXTURE_SEED, 16, stream])
    labels = draw_labels(count, unseen_share, random)
    sizes = {name: resize_by_area(digits.images, side) for name, side in PIXELS.items()}
    drawer = SceneDrawer(digits, sizes, random)
    images = torch.stack([drawer.draw(SCENES[label]) for label in labels.tolist()])
    return Examples(images[:, None], labels)


def draw_labels(count: int, unseen_share: float, random: np.random.Generator) -> Tensor:
    """Draws numbers of sentences: half with two digits, and a share with unseen combinations."""
    kinds = np.array([(scene.second_digit != NONE, scene.is_unseen()) for scene in SCENES])
    wanted = random.random((count, 2)) < (PAIR_SHARE, unseen_share)
    return draw_sentences(kinds, wanted, random)


class SceneDrawer:
    """Draws scenes: it chooses handwritten digits, and their places within a pixel or two."""

    def __init__(self, digits: Examples, sizes: Mapping[str, Tensor], random: np.random.Generator):
        assert digits.labels is not None
        self.of_digit = [(digits.labels == number).nonzero()[:, 0] for number in range(10)]
        self.sizes, self.random = sizes, random

    def draw(self, scene: Scene) -> Tensor:
        """Returns an image of the scene, uint8 [SIDE, SIDE]."""
        image = torch.zeros(SIDE, SIDE, dtype=torch.uint8)
        if scene.second_digit == NONE:
            self.draw_single(image, scene)
        else:
            self.draw_pair(image, scene)
        image = DARKEST + (image.long() * (LIGHTEST - DARKEST) // 255).to(torch.uint8)
        return 255 - image if scene.polarity == "dark" else image

    def draw_single(self, image: Tensor, scene: Scene) -> None:
        """Draws a digit at a side, within one pixel of it, and of the middle of that side."""
        free = SIDE - PIXELS[scene.size]
        edge, middle = self.draw_integer(0, 1), free // 2 + self.draw_integer(-1, 1)
        along = edge if scene.place in ("left", "top") else free - edge
        self.paste(image, scene.digit, scene.size, along, middle, scene.place in ("left", "right"))

    def draw_pair(self, image: Tensor, scene: Scene) -> None:
        """Draws both digits beside each other, each within two pixels of the middle."""
        pixels = [PIXELS[scene.size], PIXELS[scene.second_size]]
        gap = SIDE - sum(pixels)
        begin = self.draw_integer(0, gap // 2)
        places = (begin, SIDE - pixels[1] - self.draw_integer(0, gap // 2))
        digits = ((scene.digit, scene.size), (scene.second_digit, scene.second_size))
        for (digit, size), along in zip(digits, places, strict=True):
            middle = (SIDE - PIXELS[size]) // 2 + self.draw_integer(-2, 2)
            self.paste(image, digit, size, along, middle, scene.place == "left of")

    def paste(
        self, image: Tensor, digit: str, size: str, along: int, across: int, is_row: bool
    ) -> None:
        """Adds a digit at a place along the row, or along the column, of the digits."""
        top, left = (across, along) if is_row else (along, across)
        side, of_digit = PIXELS[size], self.of_digit[int(digit)]
        chosen = of_digit[self.draw_integer(0, len(of_digit) - 1)]
        image[top : top + side, left : left + side] = self.sizes[size][chosen, 0]

    def draw_integer(self, least: int, most: int) -> int:
        return int(self.random.integers(least, most + 1))
