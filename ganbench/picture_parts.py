"""Names of a picture's parts in its PNG file: frames of a strip, or columns of a grid.

A page reads them to caption a picture, and a training to go on with its strip.
"""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

INPUT, OUTPUT, TARGET = "input", "output", "target"  # versions of an example of a translation
FAST_LEVEL = 3  # of zlib's compression
FRAME_MILLISECONDS, MAX_PLAY_MILLISECONDS = 125, 5_000  # longer movement would need a pause button
MAX_PARTS, MAX_NAME_LENGTH = 100, 40  # of names in files that others wrote


def encode_named_png(
    image: Image.Image, names: Mapping[str, Sequence[str]], is_small: bool = True
) -> bytes:
    """Encodes a picture as a PNG with names of its parts, by the kind of part.

    The smallest file takes up to ten times as long as one of a few percent more bytes.
    """
    texts = PngInfo()
    for kind, parts in names.items():
        texts.add_text(kind, json.dumps(list(parts)))
    content = io.BytesIO()
    how = {"optimize": True} if is_small else {"compress_level": FAST_LEVEL}
    image.save(content, "PNG", pnginfo=texts, **how)
    return content.getvalue()


def encode_animation(frames: Sequence[Image.Image], kind: str, **how: int | bool) -> bytes:
    """Encodes frames as an animated PNG or WEBP of at most five seconds."""
    turns = max(1, MAX_PLAY_MILLISECONDS // (FRAME_MILLISECONDS * len(frames)))
    content, first = io.BytesIO(), frames[0]
    first.save(
        content,
        kind,
        save_all=True,
        append_images=frames[1:],
        duration=FRAME_MILLISECONDS,
        loop=turns,
        **how,
    )
    return content.getvalue()


def read_part_names(path: Path, kind: str) -> list[str]:
    """Returns the names of a picture's parts; empty if the file is missing or damaged."""
    try:
        with Image.open(path) as image:
            names = json.loads(image.info.get(kind, "[]"))
    except (OSError, ValueError, TypeError, SyntaxError, RecursionError):
        return []
    return names if are_names(names) else []


def are_names(names: Any) -> bool:
    """Returns whether JSON from a file is a list of a few short texts."""
    return (
        isinstance(names, list)
        and len(names) <= MAX_PARTS
        and all(isinstance(name, str) and len(name) <= MAX_NAME_LENGTH for name in names)
    )
