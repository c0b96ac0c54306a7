"""Data sets of this package by their names: `digits`, `digits:train`, `digits:held_out`."""

from dataclasses import dataclass

from ganbench.data import DATA
from ganbench.data.base import Data, Examples, Split
from ganbench.data.image_decoding import Unreadable
from ganbench.registry import suggest

from .arrays import source_of_examples
from .base import Source

SPLIT_SIDES = {"train": "train", "held_out": "held_out", "test": "held_out"}


@dataclass(frozen=True)
class DatasetSide:
    """One side of a data set, what nobody trained on, and the extractor that the set has by itself."""

    source: Source
    held_out: Source | None
    extractor: str


def load_dataset_side(text: str) -> DatasetSide:
    """By its name alone it is what suites measure against: the first examples that train, 10,000 at most.

    `:train` is all of them, and `:held_out` the others.
    """
    name, side = split_dataset_text(text)
    data: Data = DATA.make(name)
    split, label = data.load(), DATA.label(name)
    reals = examples_of_side(split, SPLIT_SIDES[side or "train"], text)
    count = len(reals) if side else min(len(reals), data.reference)
    source = source_of_examples(
        reals, count, label if side is None else f"{label}:{side}", split.mixture
    )
    held_out = None
    if SPLIT_SIDES[side or "train"] == "train":
        others = examples_of_side(split, "held_out", text)
        held_out = source_of_examples(others, len(others), f"{label}:held_out", split.mixture)
    return DatasetSide(source, held_out, data.extractor)


def examples_of_side(split: Split, side: str, text: str) -> Examples:
    domains = split.train if side == "train" else split.held_out
    if len(domains) != 1:
        raise Unreadable(
            f"{text} has images of several kinds, {', '.join(domains)}: it is no one set"
        )
    (sides,) = domains.values()
    return sides


def split_dataset_text(text: str) -> tuple[str, str | None]:
    """A set's spec and the side that is named, if one is."""
    name, colon, side = text.rpartition(":")
    if not colon or ")" in side:
        return text, None
    if side not in SPLIT_SIDES:
        raise Unreadable(f"{name} has no side {side!r}{suggest(side, SPLIT_SIDES)}")
    return name, side


def names_dataset(text: str) -> bool:
    """Does a text begin with the name of a data set, and look like nothing else?"""
    return text.partition("(")[0].partition(":")[0].strip() in DATA
