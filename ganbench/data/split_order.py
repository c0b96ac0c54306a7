"""The order of a user's images, and the numbers that decide which ones are held out."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol


class HasKeys(Protocol):
    """Anything with the names, the numbers and the digests of images."""

    @property
    def names(self) -> Sequence[str]: ...
    @property
    def numbers(self) -> Sequence[float]: ...
    @property
    def digests(self) -> Sequence[Hashable]: ...


@dataclass(frozen=True)
class ImageKeys:
    """Names of images, hashes of their files in [0, 1), and hashes of their pixels."""

    names: Sequence[str]
    numbers: Sequence[float]
    digests: Sequence[Hashable]


def split_numbers(read: HasKeys) -> list[float]:
    """Returns a number in [0, 1) per image; equal pictures share the smallest one.

    Pictures are equal if they have the same pixels, or the same name but for the suffix.
    """
    stems = [str(PurePosixPath(name).with_suffix("")) for name in read.names]
    numbers, before = list(read.numbers), None
    while numbers != before:
        before = numbers
        numbers = share_smallest(share_smallest(numbers, stems), read.digests)
    return numbers


def share_smallest(numbers: list[float], keys: Iterable[Hashable]) -> list[float]:
    """Returns for each number the smallest one with an equal key."""
    keys = list(keys)
    smallest: dict[Hashable, float] = {}
    for key, number in zip(keys, numbers, strict=True):
        smallest[key] = min(number, smallest.get(key, number))
    return [smallest[key] for key in keys]
