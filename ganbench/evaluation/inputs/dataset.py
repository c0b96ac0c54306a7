"""Sources from ganbench's data sets: `digits`, `digits:train`, `digits:held_out`."""

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
    """One side of a data set, its held-out examples and the data set."""

    source: Source
    held_out: Source | None
    data: Data


def load_dataset_side(text: str) -> DatasetSide:
    """Returns the side of a data set that a text names.

    A name without a side is the reference data of suites: the first training examples, at most
    `Data.reference` (10,000 by default). `:train` selects all training examples. `:held_out` and
    `:test` select the held-out examples. Raises Unreadable for an unknown side.
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
    return DatasetSide(source, held_out, data)


def examples_of_side(split: Split, side: str, text: str) -> Examples:
    domains = split.train if side == "train" else split.held_out
    if len(domains) != 1:
        raise Unreadable(
            f"{text} has several domains, {', '.join(domains)}: only data sets with one domain can be scored"
        )
    (sides,) = domains.values()
    return sides


def split_dataset_text(text: str) -> tuple[str, str | None]:
    """Splits `digits:train` into spec and side; the side is None if the text names none."""
    name, colon, side = text.rpartition(":")
    if not colon or ")" in side:
        return text, None
    if side not in SPLIT_SIDES:
        raise Unreadable(f"{name} has no side {side!r}{suggest(side, SPLIT_SIDES)}")
    return name, side


def names_dataset(text: str) -> bool:
    """Returns whether a text is the name or the spec of a data set, with or without a side."""
    return text.partition("(")[0].partition(":")[0].strip() in DATA
