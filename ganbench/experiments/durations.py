"""Durations as text: `90 s`, `5 min` or `2 h`."""

import re

SECONDS_OF_UNIT = {"s": 1, "min": 60, "h": 3600}


def parse_seconds(duration: str) -> float:
    """Converts `90 s`, `5 min` or `2 h` to seconds; raises ValueError for other texts."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h)\s*", duration)
    if not match or float(match[1]) == 0:
        raise ValueError(f"{duration!r} is not a duration: write it as '90 s', '5 min' or '2 h'")
    return float(match[1]) * SECONDS_OF_UNIT[match[2]]
