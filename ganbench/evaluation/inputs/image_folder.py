"""A folder of images: nested, of mixed formats, in the order of their paths."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from ganbench.data.image_decoding import IMAGE_SUFFIXES, UNSUPPORTED_SUFFIXES, Unreadable

from .base import Source, SourceItem
from .decoding import MAX_FILE_BYTES, EncodedItem

MAX_NAMES_SHOWN = 3  # names in a sentence

Identity = tuple[int, int]  # of a folder on its disk


class FolderSource(Source):
    """All images under a path, but for names that begin with a dot; links are followed."""

    def __init__(self, text: str, skip: bool = False):
        self.path = Path(text).expanduser()
        files, left, unread = partition_names(walk_folder(self.path), skip, text)
        super().__init__(text, *notes_on_left_out(left, unread))
        if not files:
            raise Unreadable(no_images_sentence(text, left))
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def iter_blocks(self, chosen: Sequence[int], size: int) -> Iterator[list[SourceItem]]:
        for start in range(0, len(chosen), size):
            names = (self.files[number] for number in chosen[start : start + size])
            yield [
                EncodedItem(f"{self.name.rstrip('/')}/{n}", partial(read_small_file, self.path / n))
                for n in names
            ]


def walk_folder(
    folder: Path, inside: str = "", above: frozenset[Identity] = frozenset()
) -> list[str]:
    """The paths of all files, relative to the folder; a link to a folder that it lies in is not followed."""
    paths: list[str] = []
    try:
        status = folder.stat()
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise Unreadable(f"{folder} cannot be read: {error.strerror}") from error
    if (status.st_dev, status.st_ino) in above:
        return paths
    above |= {(status.st_dev, status.st_ino)}
    for entry in entries:
        if is_hidden_file(entry.name):
            continue
        if entry.is_dir():
            paths += walk_folder(folder / entry.name, f"{inside}{entry.name}/", above)
        else:
            paths.append(inside + entry.name)
    return paths


def partition_names(
    names: list[str], skip: bool, where: str
) -> tuple[list[str], list[str], list[str]]:
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
            f"{where} holds {format_names(unread)} of a format that is not read here: convert to PNG, or leave "
            "out by --skip-unreadable"
        )
    return files, left, unread


def notes_on_left_out(left: list[str], unread: list[str]) -> list[str]:
    sentences = [f"{format_names(left)} left out, which by name are no images"] if left else []
    return sentences + (
        [f"{format_names(unread)} left out, of formats that are not read"] if unread else []
    )


def no_images_sentence(where: str, left: list[str]) -> str:
    if left:
        return f"{where} holds no images, only {format_names(left)}"
    return f"{where} holds no images: it is empty"


def format_names(names: Sequence[str]) -> str:
    more = len(names) - MAX_NAMES_SHOWN
    return ", ".join(names[:MAX_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def is_hidden_file(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def read_small_file(path: Path) -> bytes:
    if path.is_symlink() and not path.exists():
        raise Unreadable(f"{path} is a link to nothing")
    if not path.is_file():
        raise Unreadable(f"{path} is no file")
    if (size := path.stat().st_size) > MAX_FILE_BYTES:
        raise Unreadable(f"{path} has {size:,} bytes: more than {MAX_FILE_BYTES:,} are no image")
    return path.read_bytes()
