"""A folder of images: nested, of mixed formats, in the order of their paths."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from ganbench.data.image_decoding import IMAGE_SUFFIXES, UNSUPPORTED_SUFFIXES, Unreadable

from .base import Item, Source
from .decoding import MAX_FILE_BYTES, Encoded

SHOWN = 3  # names in a sentence

Identity = tuple[int, int]  # of a folder on its disk


class Folder(Source):
    """All images under a path, but for names that begin with a dot; links are followed."""

    def __init__(self, text: str, skip: bool = False):
        self.path = Path(text).expanduser()
        files, left, unread = sorted_out(walked(self.path), skip, text)
        super().__init__(text, *notes(left, unread))
        if not files:
            raise Unreadable(none_in(text, left))
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def blocks(self, chosen: Sequence[int], size: int) -> Iterator[list[Item]]:
        for start in range(0, len(chosen), size):
            names = (self.files[number] for number in chosen[start : start + size])
            yield [
                Encoded(f"{self.name.rstrip('/')}/{n}", partial(read, self.path / n)) for n in names
            ]


def walked(folder: Path, inside: str = "", above: frozenset[Identity] = frozenset()) -> list[str]:
    """The paths of all files, relative to the folder; a link to a folder that it lies in is not followed."""
    found: list[str] = []
    try:
        here = folder.stat()
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise Unreadable(f"{folder} cannot be read: {error.strerror}") from error
    if (here.st_dev, here.st_ino) in above:
        return found
    above |= {(here.st_dev, here.st_ino)}
    for entry in entries:
        if is_hidden(entry.name):
            continue
        if entry.is_dir():
            found += walked(folder / entry.name, f"{inside}{entry.name}/", above)
        else:
            found.append(inside + entry.name)
    return found


def sorted_out(names: list[str], skip: bool, where: str) -> tuple[list[str], list[str], list[str]]:
    """Images in the order of their paths, what is none by its name, and images that cannot be read.

    Raises Unreadable for the last, unless they are to be skipped.
    """
    names = sorted(names)
    files, unread = (
        [name for name in names if PurePosixPath(name).suffix.lower() in suffixes]
        for suffixes in (IMAGE_SUFFIXES, UNSUPPORTED_SUFFIXES)
    )
    left = sorted({*names} - {*files, *unread})
    if unread and not skip:
        raise Unreadable(
            f"{where} holds {shown(unread)} of a format that is not read here: convert to PNG, or leave "
            "out by --skip-unreadable"
        )
    return files, left, unread


def notes(left: list[str], unread: list[str]) -> list[str]:
    found = [f"{shown(left)} left out, which by name are no images"] if left else []
    return found + ([f"{shown(unread)} left out, of formats that are not read"] if unread else [])


def none_in(where: str, left: list[str]) -> str:
    if left:
        return f"{where} holds no images, only {shown(left)}"
    return f"{where} holds no images: it is empty"


def shown(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def read(path: Path) -> bytes:
    if path.is_symlink() and not path.exists():
        raise Unreadable(f"{path} is a link to nothing")
    if not path.is_file():
        raise Unreadable(f"{path} is no file")
    if (size := path.stat().st_size) > MAX_FILE_BYTES:
        raise Unreadable(f"{path} has {size:,} bytes: more than {MAX_FILE_BYTES:,} are no image")
    return path.read_bytes()
