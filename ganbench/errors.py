"""The base class of all errors that a user can cause."""

import re
from importlib.metadata import PackageNotFoundError, requires
from typing import Any, ClassVar

# Control characters without tab and line feed, line separators, changes of the direction of writing, and
# bytes of file names that are not text.
CONTROL_CHARACTERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def escape_control_characters(text: str) -> str:
    """Replaces characters that would change a terminal, such as ESC, by escapes like \\x1b."""
    return CONTROL_CHARACTERS.sub(lambda found: ascii(found[0])[1:-1], text)


def install_command(extra: str) -> str:
    """Returns the command that installs the packages of an extra, such as `perf`.

    It names the packages themselves, so that it works beside a clone and beside a wheel.
    """
    condition = f"extra == '{extra}'"
    packages = [
        f"'{text.partition(';')[0].strip()}'"
        for text in distribution_requirements()
        if condition in text.replace('"', "'")
    ]
    return f"pip install {' '.join(packages)}" if packages else f"pip install -e '.[{extra}]'"


def distribution_requirements() -> list[str]:
    """Returns the requirements of the installed package, also those of its extras."""
    try:
        return requires("ganbench") or []
    except PackageNotFoundError:  # a source tree that was not installed
        return []


class GanbenchError(Exception):
    """The base class of errors with a message for the user.

    `exit_code` is the exit code of the command line. The message may contain names of files, so its text
    has no control characters.
    """

    exit_code: ClassVar[int] = 2  # for usage, suites, files and missing data

    def __str__(self) -> str:
        return escape_control_characters(super().__str__())


class NotDownloaded(GanbenchError, RuntimeError):
    """Data or weights are missing or unusable; the message names the remedy.

    `download` is the spec for `ganbench download`, if that command can provide the missing file.
    """

    def __init__(self, message: str = "", download: str = ""):
        super().__init__(message)
        self.download = download

    def one_line(self) -> str:
        """Returns the message in one line, for lists: its first sentence and the first remedy."""
        first, *remedies = str(self).splitlines() or [""]
        return (
            f"{first.rstrip('.')}: run `ganbench download {self.download}`" if remedies else first
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.args[0], self.download)


class MissingWeights(NotDownloaded):
    """A weights file is missing. `other` is the last remedy, after the lines of `facts`."""

    def __init__(self, facts: str, other: str, download: str = ""):
        super().__init__(f"{facts}\n  other:     {other}", download)
        self.facts, self.other = facts, other

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.facts, self.other, self.download)
