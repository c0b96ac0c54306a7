"""Numbers and lists as text for people: `1 cell`, `3.07 GB`, `2 hours`, `−0.07`, `34 %`."""

from collections.abc import Sequence

MINUS = "−"


def count_of(count: int, noun: str, plural: str = "") -> str:
    """Returns a count with its noun: `1 cell`, `2,000 cells`. The plural adds an s by default."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def format_signed(value: float, form: str = ".3g") -> str:
    """Formats a number for people, with a minus sign: `−0.07`, `1e−07`.

    `form` is a format specification. Numbers for programs keep the hyphen, and are not formatted here.
    """
    return f"{value:{form}}".replace("-", MINUS)


def format_share(share: float) -> str:
    """Formats a share in whole percent: `34 %`."""
    return f"{share:.0%}".replace("%", " %")


def format_threshold(share: float) -> str:
    """Formats a declared share in percent, with three digits: `2.5 %`, `0.1 %`."""
    return f"{100 * share:.3g} %"


def format_bytes(count: float) -> str:
    """Returns a size in decimal units: `3.07 GB`, `34 kB`, `5 bytes`."""
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return count_of(round(count), "byte")


def format_age(seconds: float) -> str:
    """Returns an age in its largest whole unit: `3 days`, `1 hour`, `12 minutes`, `0 seconds`."""
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            return count_of(int(seconds // size), unit)
    return count_of(max(0, int(seconds)), "second")


def list_first(texts: Sequence[str], most: int) -> list[str]:
    """Returns the first texts and, if there are others, `and 3 more`."""
    more = len(texts) - most
    return [*texts[:most], *([f"and {more:,} more"] if more > 0 else [])]


def join_words(texts: list[str], word: str) -> str:
    """Joins texts for a sentence: `R1, R2 and EMA`."""
    return f"{', '.join(texts[:-1])} {word} {texts[-1]}" if len(texts) > 1 else "".join(texts)
