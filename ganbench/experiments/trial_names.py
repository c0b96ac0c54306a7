"""Names of trials in tables."""

from collections.abc import Sequence


def format_chain(tricks: Sequence[str]) -> str:
    """Returns the name of a chain of tricks: `ema + r1`, or `none`."""
    return " + ".join(tricks) or "none"
