"""Data sets of this package by their names: `digits`, `digits:train`, `digits:held_out`."""

from dataclasses import dataclass

from ganbench.data import DATA
from ganbench.data.base import Data, Examples, Split
from ganbench.data.image_decoding import Unreadable
from ganbench.registry import suggest

from .arrays import of_examples
from .base import Source

SIDES = {"train": "train", "held_out": "held_out", "test": "held_out"}


@dataclass(frozen=True)
class Named:
    """One side of a data set, what nobody trained on, and the extractor that the set has by itself."""

    source: Source
    held_out: Source | None
    extractor: str


def named(text: str) -> Named:
    """By its name alone it is what suites measure against: the first examples that train, 10,000 at most.

    `:train` is all of them, and `:held_out` the others.
    """
    name, side = parted(text)
    data: Data = DATA.make(name)
    split, label = data.load(), DATA.label(name)
    reals = examples(split, SIDES[side or "train"], text)
    count = len(reals) if side else min(len(reals), data.reference)
    source = of_examples(reals, count, label if side is None else f"{label}:{side}", split.mixture)
    held_out = None
    if SIDES[side or "train"] == "train":
        others = examples(split, "held_out", text)
        held_out = of_examples(others, len(others), f"{label}:held_out", split.mixture)
    return Named(source, held_out, data.extractor)


def examples(split: Split, side: str, text: str) -> Examples:
    domains = split.train if side == "train" else split.held_out
    if len(domains) != 1:
        raise Unreadable(
            f"{text} has images of several kinds, {', '.join(domains)}: it is no one set"
        )
    (found,) = domains.values()
    return found


def parted(text: str) -> tuple[str, str | None]:
    """A set's spec and the side that is named, if one is."""
    name, colon, side = text.rpartition(":")
    if not colon or ")" in side:
        return text, None
    if side not in SIDES:
        raise Unreadable(f"{name} has no side {side!r}{suggest(side, SIDES)}")
    return name, side


def is_named(text: str) -> bool:
    """Does a text begin with the name of a data set, and look like nothing else?"""
    return text.partition("(")[0].partition(":")[0].strip() in DATA
