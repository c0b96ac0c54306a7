"""Captions of a user's images: text files beside them, or one file of JSON lines.

`a.txt` holds the captions of `a.png`, one in each line. `captions.jsonl` holds one object in each line:
`{"file": "a.png", "caption": "a red ball"}`, or a list of captions. Captions are reduced to words in
lower case. Anything that could be read in two ways is refused with file and line.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ganbench.counts import count_of
from ganbench.errors import GanbenchError
from ganbench.registry import suggest

from .captions import split_words
from .image_decoding import Unreadable
from .image_files import MAX_NAMES_SHOWN, read_small_file

CAPTIONS_FILE, TEXT_SUFFIX = "captions.jsonl", ".txt"
CAPTION_KEYS = ("file", "caption")
EXAMPLE_LINE = '{"file": "a.png", "caption": "a red ball"}'
MAX_CAPTIONS_PER_IMAGE = 32
MAX_CAPTION_WORDS = 64  # further words are left out

ImageCaptions = dict[str, list[str]]  # the captions of each image, by its name


class BadCaptions(GanbenchError, ValueError):
    """Caption files are missing, or cannot be read without a guess."""


def read_captions(root: Path, images: Sequence[str], others: Sequence[str]) -> ImageCaptions:
    """Returns the captions of all images in a folder; raises BadCaptions.

    `others` are the names of the other files in the folder.
    """
    texts = {str(PurePosixPath(name).with_suffix(TEXT_SUFFIX)): name for name in images}
    beside = sorted(texts.keys() & {*others})
    if CAPTIONS_FILE in others and beside:
        raise BadCaptions(f"{root} has both {CAPTIONS_FILE} and {beside[0]}: keep one of the two")
    if CAPTIONS_FILE in others:
        return read_caption_lines(root, images)
    if not beside:
        raise BadCaptions(no_captions_sentence(root, images[0], others))
    require_all(images, [texts[name] for name in beside], f"{root} has no text file beside")
    return {
        name: read_text_captions(root / PurePosixPath(name).with_suffix(TEXT_SUFFIX))
        for name in images
    }


def no_captions_sentence(root: Path, image: str, others: Iterable[str]) -> str:
    text = PurePosixPath(image).with_suffix(TEXT_SUFFIX)
    close = suggest(CAPTIONS_FILE, others) if any(others) else ""
    hint = close if "did you mean" in close else ""
    return f"{root} has no captions: add {CAPTIONS_FILE}, or a text file beside each image such as {text}{hint}"


def require_all(images: Sequence[str], named: Iterable[str], problem: str) -> None:
    """Raises BadCaptions with the first images that are not among the named ones."""
    if missing := sorted({*images} - {*named}):
        more = len(missing) - MAX_NAMES_SHOWN
        rest = f" and {more:,} more" if more > 0 else ""
        raise BadCaptions(f"{problem} {', '.join(missing[:MAX_NAMES_SHOWN])}{rest}")


def read_text_captions(path: Path) -> list[str]:
    """Returns the captions in a text file, one in each line."""
    captions = [check_caption(line, place) for place, line in iter_lines(path)]
    return check_count(captions, str(path))


def read_caption_lines(root: Path, images: Sequence[str]) -> ImageCaptions:
    """Returns the captions in the file of JSON lines, which names each image once."""
    captions: ImageCaptions = {}
    places: dict[str, str] = {}
    known = {*images}
    for place, line in iter_lines(root / CAPTIONS_FILE):
        entry = read_entry(line, place)
        name = check_file_name(entry["file"], place, known)
        if name in captions:
            raise BadCaptions(
                f"{place} names {name!r} again, after {places[name]}: use one line with a list"
            )
        captions[name], places[name] = read_entry_captions(entry["caption"], place), place
    require_all(images, captions, f"{root / CAPTIONS_FILE} has no line for")
    return captions


def iter_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yields place and text of each line; line breaks at the end are no lines.

    Raises BadCaptions for a file that cannot be read, and for empty lines.
    """
    try:
        content = read_small_file(path)
    except OSError as error:
        raise BadCaptions(f"{path} cannot be read: {error.strerror}") from error
    except Unreadable as error:
        raise BadCaptions(str(error)) from error
    lines = content.removeprefix(b"\xef\xbb\xbf").rstrip().splitlines()
    for number, line in enumerate(lines, 1):
        place = f"{path}, line {number}"
        if not line.strip():
            raise BadCaptions(f"{place} is empty: remove it")
        try:
            yield place, line.decode()
        except UnicodeDecodeError as error:
            raise BadCaptions(
                f"{place} is not UTF-8 text: {error.reason} at byte {error.start + 1}"
            ) from error


def read_entry(line: str, place: str) -> Mapping[str, Any]:
    """Returns the object in a line; raises BadCaptions for other keys."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadCaptions(f"{place} is not JSON such as {EXAMPLE_LINE}: {error}") from error
    if not isinstance(entry, dict):
        raise BadCaptions(f"{place} must be an object such as {EXAMPLE_LINE}")
    if wrong := sorted(entry.keys() - {*CAPTION_KEYS}):
        raise BadCaptions(
            f"{place} has the unknown key {wrong[0]!r}{suggest(wrong[0], CAPTION_KEYS)}"
        )
    if missing := [key for key in CAPTION_KEYS if key not in entry]:
        raise BadCaptions(f"{place} has no {missing[0]!r}")
    return entry


def check_file_name(name: object, place: str, known: set[str]) -> str:
    """Returns the name of an image in the folder; raises BadCaptions for any other value."""
    if not isinstance(name, str):
        raise BadCaptions(f"{place}: 'file' must be the name of an image, not {name!r:.60}")
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[:1]:
        raise BadCaptions(f"{place}: {name!r} lies outside of the folder")
    if str(path) not in known:
        hint = suggest(str(path), known)
        raise BadCaptions(
            f"{place}: there is no image {name!r}{hint if 'did you mean' in hint else ''}"
        )
    return str(path)


def read_entry_captions(value: object, place: str) -> list[str]:
    """Returns the captions of one object: a text, or a list of texts."""
    values = value if isinstance(value, list) else [value]
    return check_count([check_caption(text, place) for text in values], place)


def check_count(captions: list[str], place: str) -> list[str]:
    """Returns different captions; raises BadCaptions for none, or too many."""
    if not captions:
        raise BadCaptions(f"{place} has no caption")
    if len(captions) > MAX_CAPTIONS_PER_IMAGE:
        raise BadCaptions(
            f"{place} has {count_of(len(captions), 'caption')}: the limit for an image is {MAX_CAPTIONS_PER_IMAGE}"
        )
    return list(dict.fromkeys(captions))


def check_caption(text: object, place: str) -> str:
    """Returns the first words of a caption; raises BadCaptions if there are none."""
    if not isinstance(text, str):
        raise BadCaptions(f"{place}: a caption must be text, not {text!r:.60}")
    if not (words := split_words(text)):
        raise BadCaptions(f"{place}: the caption {text!r:.60} has no words")
    return " ".join(words[:MAX_CAPTION_WORDS])
