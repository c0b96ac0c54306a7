"""The verdicts of gates, checks and bisections, with their exit codes."""

from enum import StrEnum


class Verdict(StrEnum):
    """The answer of `gate`, `perf`, `check` or `bisect`."""

    PASSED = "passed"
    REGRESSED = "regressed"  # proven to be worse, or another method
    CANNOT_DECIDE = "cannot decide"  # neither a pass nor a proof
    FOUND = "found"  # the culprit of a bisection
    BETWEEN = "between"  # the culprit is one of several commits

    @property
    def exit_code(self) -> int:
        if self in (Verdict.PASSED, Verdict.FOUND):
            return 0
        return 1 if self is Verdict.REGRESSED else 3
