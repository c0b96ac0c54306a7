"""Image files in a user's folder or archive: names, contents, and refusals.

Archives are read in place, so the names of members cannot overwrite files.
"""

import os
import threading
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from ganbench.files import expand_home

from .image_decoding import IMAGE_SUFFIXES, UNSUPPORTED_SUFFIXES, Unreadable

MAX_FILE_BYTES = 2**28
MAX_NAMES_SHOWN = 3  # names per message
UNCHECKED_BYTES = 2**30  # archives that unpack to less are not checked
MAX_EXPANSION_RATIO = 200
ENCRYPTED_FLAG = 1  # bit of a zip member's flags
ARCHIVE_SUFFIXES = (".zip", ".tar", ".gz", ".7z", ".rar", ".tgz")
SKIP_FLAG = "--skip-unreadable"

Identity = tuple[int, int]  # of a folder: device and inode number
FileStamp = tuple[str, int, int]  # name, bytes, and time of the last change in nanoseconds


class ImageFiles:
    """The images of a folder or an archive, sorted by name, without hidden ones.

    `skip` leaves out images of unsupported formats, and `remedy` names its option in messages. Raises
    Unreadable if there are such images without `skip`, or no images at all.
    """

    def __init__(self, text: str, names: Sequence[str], skip: bool, remedy: str = SKIP_FLAG):
        self.name = text
        self.files, self.notes = list_images(text, names, skip, remedy)

    def read(self, name: str) -> bytes:
        """Returns the bytes of an image file; raises Unreadable or OSError."""
        raise NotImplementedError

    def open(self, name: str) -> IO[bytes]:
        """Opens an image file to read its beginning; raises Unreadable or OSError."""
        raise NotImplementedError

    def class_of(self, name: str) -> str | None:
        """Returns the name of an image's class, or None: its first folder."""
        return class_of_path(name)

    def sort_classes(self, names: Iterable[str]) -> list[str]:
        """Returns the names of classes in the order of their labels."""
        return sorted(names)

    def iter_stamps(self) -> Iterator[FileStamp]:
        """Yields the stamps of all files that images are read from; raises OSError."""
        raise NotImplementedError


class FolderFiles(ImageFiles):
    """The images in a folder and below. Links are followed."""

    def __init__(self, text: str, skip: bool = False, remedy: str = SKIP_FLAG):
        self.path = expand_home(text)
        super().__init__(text, walk_folder(self.path), skip, remedy)

    def read(self, name: str) -> bytes:
        return read_small_file(self.path / name)

    def open(self, name: str) -> IO[bytes]:
        check_small_file(self.path / name)
        return (self.path / name).open("rb")

    def iter_stamps(self) -> Iterator[FileStamp]:
        for name in self.files:
            try:
                status = os.stat(f"{self.path}/{name}")
            except OSError:  # a broken link, which reading reports
                yield name, -1, 0
                continue
            yield name, status.st_size, status.st_mtime_ns


class ZipFiles(ImageFiles):
    """The images in a zip archive."""

    def __init__(self, text: str, skip: bool = False, remedy: str = SKIP_FLAG):
        self.path = expand_home(text)
        self.archive, self.lock = open_zip(self.path), threading.Lock()
        self.members = {m.filename: m for m in self.archive.infolist() if is_visible_member(m)}
        refuse_nested_archives(text, list(self.members))
        super().__init__(text, list(self.members), skip, remedy)
        self.check_members()

    def check_members(self) -> None:
        for name in self.files:
            member = self.members[name]
            if member.flag_bits & ENCRYPTED_FLAG:
                raise Unreadable(f"{self.name} is encrypted: unpack it with its password")
            if member.file_size > MAX_FILE_BYTES:
                swollen = f"{self.name}: {name} unpacks to {member.file_size:,} bytes"
                raise Unreadable(f"{swollen}: the limit for an image is {MAX_FILE_BYTES:,}")
        total = sum(self.members[name].file_size for name in self.files)
        check_expansion(self.name, total, self.path.stat().st_size)

    def read(self, name: str) -> bytes:
        try:
            with self.lock:
                return self.archive.read(self.members[name])
        except (
            zipfile.BadZipFile,
            NotImplementedError,
            RuntimeError,
            EOFError,
            ValueError,
        ) as error:
            raise Unreadable(f"{self.name}: {name} is damaged: {error}") from error

    def open(self, name: str) -> IO[bytes]:
        with self.lock:
            return self.archive.open(self.members[name])

    def iter_stamps(self) -> Iterator[FileStamp]:
        status = self.path.stat()
        yield self.path.name, status.st_size, status.st_mtime_ns


def list_images(
    text: str, names: Sequence[str], skip: bool, remedy: str
) -> tuple[list[str], list[str]]:
    """Returns the names of images, sorted, and notes on other files.

    Raises Unreadable for images of unsupported formats without `skip`, or if there are no images.
    """
    files, left, unread = partition_names(names, skip, text, remedy)
    if not files:
        raise Unreadable(no_images_sentence(text, left))
    return files, notes_on_left_out(left, unread)


def class_of_path(name: str) -> str | None:
    """Returns the first folder of a path, or None for a file in no folder."""
    parts = PurePosixPath(name).parts
    return parts[0] if len(parts) > 1 else None


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
    names: Sequence[str], skip: bool, where: str, remedy: str = SKIP_FLAG
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
            f"files with {remedy}"
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
    """Returns a file's bytes; raises Unreadable for links without target and large files."""
    check_small_file(path)
    return path.read_bytes()


def check_small_file(path: Path) -> None:
    """Raises Unreadable for links without target, devices and large files."""
    if path.is_symlink() and not path.exists():
        raise Unreadable(f"{path} is a broken link")
    if not path.is_file():
        raise Unreadable(f"{path} is not a regular file")
    if (size := path.stat().st_size) > MAX_FILE_BYTES:
        raise Unreadable(f"{path} has {size:,} bytes: the limit for an image is {MAX_FILE_BYTES:,}")


def open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise Unreadable(f"{path} is not a valid zip archive: {error}") from error
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}") from error


def is_visible_member(member: zipfile.ZipInfo) -> bool:
    hidden = (part for part in PurePosixPath(member.filename).parts if part != "..")
    return not member.is_dir() and not any(map(is_hidden_file, hidden))


def refuse_nested_archives(text: str, names: list[str]) -> None:
    """Raises Unreadable for an archive that holds archives and no images."""
    nested = [name for name in names if name.lower().endswith(ARCHIVE_SUFFIXES)]
    if nested and not any(PurePosixPath(n).suffix.lower() in IMAGE_SUFFIXES for n in names):
        raise Unreadable(
            f"{text} holds other archives ({format_names(nested)}) and no images: unpack it"
        )


def check_expansion(name: str, unpacked: int, packed: int) -> None:
    """Raises Unreadable for an archive that unpacks to an implausible size."""
    if unpacked > max(UNCHECKED_BYTES, MAX_EXPANSION_RATIO * packed):
        raise Unreadable(f"{name} unpacks to {unpacked:,} bytes, which looks like an attack")
