"""Tests of exact numbers: canaries of trainings, and counts of operators and bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ganbench.ci.quality.trace_comparison import first_difference
from ganbench.counts import format_share

from .journal import Numbers

Side = Literal["good", "bad", "other"]
MAX_SHOWN_DIGITS = 9


class ExactTest(Protocol):
    """Assigns exact numbers of a commit to a side."""

    @property
    def evidence(self) -> str:
        """The kind of the numbers: canary or count."""

    def side_of(self, numbers: Numbers) -> Side:
        """Returns the side of a commit; `other` for numbers that neither end has."""

    def differ(self, one: Numbers, other: Numbers) -> bool:
        """Returns whether two commits that are on neither side differ."""

    def describe(self, before: Numbers, after: Numbers) -> str:
        """Returns the change between two commits as a sentence."""


@dataclass(frozen=True)
class CanaryTest:
    """Compares losses and scores of the first steps, up to rounding or in any digit."""

    good: Numbers
    bad: Numbers
    any_digit: bool = False
    evidence: str = "canary"

    @classmethod
    def of(cls, good: Numbers, bad: Numbers, any_digit: bool = False) -> "CanaryTest | None":
        """Returns the test, or None if the canaries do not differ."""
        test = cls(good, bad, any_digit)
        return test if test.differ(good, bad) else None

    def side_of(self, numbers: Numbers) -> Side:
        if not self.differ(self.good, numbers):
            return "good"
        return "other" if self.differ(self.bad, numbers) else "bad"

    def differ(self, one: Numbers, other: Numbers) -> bool:
        return first_difference(one, other, self.any_digit) is not None

    def describe(self, before: Numbers, after: Numbers) -> str:
        name = first_difference(before, after, self.any_digit) or ""
        one, other = (format_exact(numbers.get(name)) for numbers in (before, after))
        return f"{name} was {one} and is {other}"


@dataclass(frozen=True)
class CountTest:
    """Compares one count with the middle between both ends."""

    name: str
    good: float
    bad: float
    evidence: str = "count"

    @classmethod
    def of(cls, good: Numbers, bad: Numbers, margin: float = 0.0) -> "CountTest | None":
        """Returns the test of the first count that rises by more than the margin, or None."""
        for name, before in good.items():
            after = bad.get(name)
            if before is not None and after is not None and after > before * (1 + margin):
                return cls(name, before, after)
        return None

    def side_of(self, numbers: Numbers) -> Side:
        value = numbers.get(self.name)
        if value is None:
            return "other"
        return "good" if value - self.good < (self.bad - self.good) / 2 else "bad"

    def differ(self, one: Numbers, other: Numbers) -> bool:
        return False  # a count is on one of both sides

    def describe(self, before: Numbers, after: Numbers) -> str:
        one, other = before[self.name], after[self.name]
        assert one is not None
        assert other is not None
        share = (other - one) / (self.bad - self.good)
        step = f"{self.name} rose from {format_exact(one)} to {format_exact(other)}"
        return f"{step}, {format_share(share)} of the whole difference"


def format_exact(value: float | None) -> str:
    return "none" if value is None else f"{value:,.{MAX_SHOWN_DIGITS}g}"


def stable_numbers(repeats: Sequence[Numbers]) -> Numbers:
    """Returns the numbers that all repetitions on one commit share exactly."""
    first, *others = repeats
    return {
        name: value
        for name, value in first.items()
        if all(name in other and other[name] == value for other in others)
    }
