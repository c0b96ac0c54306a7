"""The base class of all errors that a user can cause."""

from typing import ClassVar


class GanbenchError(Exception):
    """The base class of errors with a message for the user.

    `exit_code` is the exit code of the command line.
    """

    exit_code: ClassVar[int] = 2  # for usage, suites, files and missing data
