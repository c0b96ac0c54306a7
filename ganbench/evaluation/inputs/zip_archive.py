"""A source from a zip archive of images, read in place.

Nothing is unpacked to the disk, so the names of members cannot overwrite files.
"""

import threading
import zipfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from ganbench.data.image_decoding import Unreadable

from .base import Source, SourceItem, check_expansion
from .decoding import MAX_FILE_BYTES, EncodedItem
from .image_folder import (
    format_names,
    is_hidden_file,
    no_images_sentence,
    notes_on_left_out,
    partition_names,
)

ARCHIVE_SUFFIXES = (".zip", ".tar", ".gz", ".7z", ".rar", ".tgz")
ENCRYPTED_FLAG = 1  # bit of a zip member's flags


class ZipSource(Source):
    """A source of all images in a zip archive, except hidden ones."""

    def __init__(self, text: str, skip: bool = False):
        self.path = Path(text).expanduser()
        self.archive, self.lock = open_zip(self.path), threading.Lock()
        self.members = {m.filename: m for m in self.archive.infolist() if is_visible_member(m)}
        files, left, unread = partition_names(list(self.members), skip, text)
        super().__init__(text, *notes_on_left_out(left, unread))
        if not files:
            nested = [name for name in left if name.lower().endswith(ARCHIVE_SUFFIXES)]
            problem = (
                f"{text} holds other archives ({format_names(nested)}) and no images: unpack it"
            )
            raise Unreadable(problem if nested else no_images_sentence(text, left))
        self.files = files
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

    def __len__(self) -> int:
        return len(self.files)

    def iter_blocks(self, chosen: Sequence[int], size: int) -> Iterator[list[SourceItem]]:
        for start in range(0, len(chosen), size):
            names = (self.files[number] for number in chosen[start : start + size])
            yield [
                EncodedItem(f"{self.name}: {name}", partial(self.read_member, name))
                for name in names
            ]

    def read_member(self, name: str) -> bytes:
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
