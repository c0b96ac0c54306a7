"""Ends of long commands: time limits, Ctrl-C, and the command that goes on."""

import math
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from .base import INTERRUPTED, fail

KEPT_MEASUREMENTS = "Stopped. Measurements are kept; the same command goes on"


def this_command(words: Sequence[str] | None = None) -> str:
    """Returns this command, or one with other words, as it is typed in a shell."""
    return shlex.join(["ganbench", *(sys.argv[1:] if words is None else words)])


def command_without(*options: str) -> str:
    """Returns this command without some options, and without the value of --deadline."""
    words, kept = iter(sys.argv[1:]), []
    for word in words:
        if word.partition("=")[0] not in options:
            kept.append(word)
        elif word == "--deadline":
            next(words, None)
    return this_command(kept)


@contextmanager
def explained_ctrl_c(sentence: str) -> Iterator[None]:
    """Ends the program after Ctrl-C with this sentence and the command."""
    try:
        yield
    except KeyboardInterrupt:
        fail(f"{sentence}: {this_command()}", INTERRUPTED)


def parse_time_option(duration: str) -> float:
    """Returns the seconds of --time; infinity for an empty text."""
    from ganbench.experiments.durations import parse_seconds

    try:
        return parse_seconds(duration) if duration else math.inf
    except ValueError as error:
        fail(f"--time: {error}")
