"""The one base of every error that a user can cause: `except GanbenchError` catches them all."""

from typing import ClassVar


class GanbenchError(Exception):
    """An error whose message is a sentence for the user. `exit_code` is the command line's."""

    exit_code: ClassVar[int] = 2  # usage, a suite, a file, data that are not here
