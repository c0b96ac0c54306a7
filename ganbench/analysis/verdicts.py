"""The words of verdicts: of one comparison, and of a whole command."""

from enum import StrEnum

from ganbench.renamed import VERDICT_WORDS


class ComparisonVerdict(StrEnum):
    """The verdict on one measured thing, before and after: a cell, a benchmark or a level.

    Words of earlier versions are read as those that replaced them.
    """

    IDENTICAL = "identical"  # equal in every digit
    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"  # within the margin on both sides, or within rounding
    NOT_WORSE = "not worse"  # within the margin, or better: a gate tests one side only
    DIFFERENT = "different"  # other digits, of which neither are better
    UNDECIDED = "undecided"  # too few values, or too much noise
    NEW = "new"  # only after
    MISSING = "missing"  # only before
    NOT_COMPARABLE = "not comparable"  # measured under other conditions

    @classmethod
    def _missing_(cls, value: object) -> "ComparisonVerdict | None":
        word = VERDICT_WORDS.get(str(value))
        return cls(word) if word else None


CHANGED_VERDICTS = (ComparisonVerdict.BETTER, ComparisonVerdict.WORSE)


class CommandVerdict(StrEnum):
    """The verdict of `gate`, `perf`, `check` or `bisect`."""

    PASSED = "passed"
    REGRESSED = "regressed"  # proven to be worse, or another method
    CANNOT_DECIDE = "cannot decide"  # neither a pass nor a proof
    FOUND = "found"  # the culprit of a bisection
    BETWEEN = "between"  # the culprit is one of several commits

    @property
    def exit_code(self) -> int:
        if self in (CommandVerdict.PASSED, CommandVerdict.FOUND):
            return 0
        return 1 if self is CommandVerdict.REGRESSED else 3
