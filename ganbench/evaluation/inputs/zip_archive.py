"""A zip archive of images, read in place: nothing is unpacked to the disk, so names in it can do no harm."""

import threading
import zipfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from ganbench.data.image_decoding import Unreadable

from .base import Item, Source, check_swelling
from .decoding import MAX_FILE_BYTES, Encoded
from .image_folder import is_hidden, none_in, notes, shown, sorted_out

ARCHIVES = (".zip", ".tar", ".gz", ".7z", ".rar", ".tgz")
ENCRYPTED = 1  # a member's flag


class Zip(Source):
    def __init__(self, text: str, skip: bool = False):
        self.path = Path(text).expanduser()
        self.archive, self.lock = opened(self.path), threading.Lock()
        self.members = {m.filename: m for m in self.archive.infolist() if is_shown(m)}
        files, left, unread = sorted_out(list(self.members), skip, text)
        super().__init__(text, *notes(left, unread))
        if not files:
            nested = [name for name in left if name.lower().endswith(ARCHIVES)]
            told = f"{text} holds no images but other archives, {shown(nested)}: unpack it"
            raise Unreadable(told if nested else none_in(text, left))
        self.files = files
        self.check()

    def check(self) -> None:
        for name in self.files:
            member = self.members[name]
            if member.flag_bits & ENCRYPTED:
                raise Unreadable(f"{self.name} is encrypted: unpack it with its password")
            if member.file_size > MAX_FILE_BYTES:
                swollen = f"{self.name}: {name} unpacks to {member.file_size:,} bytes"
                raise Unreadable(f"{swollen}: more than {MAX_FILE_BYTES:,} are no image")
        total = sum(self.members[name].file_size for name in self.files)
        check_swelling(self.name, total, self.path.stat().st_size)

    def __len__(self) -> int:
        return len(self.files)

    def blocks(self, chosen: Sequence[int], size: int) -> Iterator[list[Item]]:
        for start in range(0, len(chosen), size):
            names = (self.files[number] for number in chosen[start : start + size])
            yield [Encoded(f"{self.name}: {name}", partial(self.read, name)) for name in names]

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


def opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise Unreadable(f"{path} is no zip archive, or a damaged one: {error}") from error
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}") from error


def is_shown(member: zipfile.ZipInfo) -> bool:
    hidden = (part for part in PurePosixPath(member.filename).parts if part != "..")
    return not member.is_dir() and not any(map(is_hidden, hidden))
