"""Wraps lines for terminals: at spaces, with commands, paths and quantities whole."""

import re
import textwrap

UNBREAKABLE_SPACE = "\0"  # control characters are escaped before
COMMAND = re.compile(r"`[^`]*`|(?:(?<=: )|(?<=^  ))(?:ganbench|python) .*")  # in a line
QUANTITY = re.compile(r"(?<=[\d\]]) (?=(?:%|pp|MB|GB|kB|s|ms)(?:\W|$))")  # `2 %`
LINE_PARTS = re.compile(r"(\s*(?:- )?)(.*)", re.DOTALL)


def wrap_line(line: str, width: int) -> str:
    """Wraps a line at spaces, below its own beginning; commands and quantities stay whole."""
    if len(line) <= width:
        return line
    kept = COMMAND.sub(lambda command: command[0].replace(" ", UNBREAKABLE_SPACE), line)
    kept = QUANTITY.sub(UNBREAKABLE_SPACE, kept)
    beginning, rest = LINE_PARTS.fullmatch(kept).groups()  # type: ignore[union-attr]
    lines = textwrap.wrap(
        rest,
        width,
        initial_indent=beginning,
        subsequent_indent=" " * len(beginning),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines).replace(UNBREAKABLE_SPACE, " ")
