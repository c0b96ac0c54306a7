"""A source from a folder of images: nested, of any mix of formats, ordered by path."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from ganbench.data.image_decoding import IMAGE_SUFFIXES, UNSUPPORTED_SUFFIXES, Unreadable

from .base import Source, SourceItem
from .decoding import MAX_FILE_BYTES, EncodedItem

MAX_NAMES_SHOWN = 3  # names per message

Identity = tuple[int, int]  # of a folder: device and inode number


class FolderSource(Source):
    """A source of all images under a path, except hidden ones. Links are followed."""

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
    """Returns the relative paths of all files; skips links to an enclosing folder."""
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
    """Splits names by suffix into images, other files, and images of unsupported formats.

    Each list is sorted. Raises Unreadable for unsupported formats unless `skip` is set.
    """
    names = sorted(names)
    files, unread = (
        [name for name in names if PurePosixPath(name).suffix.lower() in suffixes]
        for suffixes in (IMAGE_SUFFIXES, UNSUPPORTED_SUFFIXES)
    )
    left = sorted({*names} - {*files, *unread})
    if unread and not skip:
        raise Unreadable(
            f"{where} holds {format_names(unread)} in an unsupported format: convert to PNG, or skip such "
            "files with --skip-unreadable"
        )
    return files, left, unread


def notes_on_left_out(left: list[str], unread: list[str]) -> list[str]:
    sentences = (
        [f"{format_names(left)} left out: the suffix is not that of an image"] if left else []
    )
    return sentences + ([f"{format_names(unread)} left out: unsupported format"] if unread else [])


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
        raise Unreadable(f"{path} is a broken link")
    if not path.is_file():
        raise Unreadable(f"{path} is not a regular file")
    if (size := path.stat().st_size) > MAX_FILE_BYTES:
        raise Unreadable(f"{path} has {size:,} bytes: the limit for an image is {MAX_FILE_BYTES:,}")
    return path.read_bytes()
