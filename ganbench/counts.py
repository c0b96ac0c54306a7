"""Counts as text: `1 cell`, `2 cells`."""


def count_of(count: int, noun: str, plural: str = "") -> str:
    """Returns a count with its noun: `1 cell`, `2,000 cells`. The plural adds an s by default."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"
