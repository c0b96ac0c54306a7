"""Errors of suites and claims, with the key that is wrong."""

from collections.abc import Iterator
from contextlib import contextmanager

from ganbench.errors import GanbenchError

Location = tuple[int | str, ...]  # the path of a key in a suite: ("grid", 0, "losses")


class SuiteError(GanbenchError, ValueError):
    """All errors of a suite, one per line."""


class SuiteValidationError(GanbenchError, ValueError):
    """A value that is valid by itself, but not with the rest of the suite."""

    def __init__(self, location: Location, message: str):
        super().__init__(message)
        self.location = location


@contextmanager
def located(location: Location) -> Iterator[None]:
    """Gives a ValueError the location of a key."""
    try:
        yield
    except ValueError as error:
        raise SuiteValidationError(location, str(error)) from None
