"""WebDataset shards: images and labels in tar archives, read in place by their offsets.

Files of one sample share a key, the name up to its first dot: `000.jpg` and `000.cls`. Labels come
from `.cls`, `.json` (`cls`, `label` or `class`) or whole numbers in `.txt`; otherwise the folders in
the archive are the classes. No other file is read, so nothing in a shard can run code.
"""

import io
import json
import os
import re
import sys
import tarfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO

from ganbench.files import expand_home, hash_json, read_json_or_none, write_bytes

from .image_decoding import IMAGE_SUFFIXES, Unreadable
from .image_files import (
    MAX_FILE_BYTES,
    SKIP_FLAG,
    FileStamp,
    ImageFiles,
    class_of_path,
    is_hidden_file,
    list_images,
)
from .paths import cache_root

TAR_SUFFIX = ".tar"
COMPRESSED_TAR_SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
TAR_BLOCK_BYTES = 512
LABEL_SUFFIXES = (".cls", ".json", ".txt")  # the first one that holds a label counts
LABEL_KEYS = ("cls", "label", "class")  # of a .json file
MAX_LABEL_BYTES = 2**20
MIN_SECONDS_OF_CACHED_INDEX = 0.2
INDEX_FOLDER = "packed/shards"  # in the cache
BRACE_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass(frozen=True, slots=True)
class TarPlace:
    """The place of a file in an archive: the shard's number, and its bytes there."""

    shard: int
    offset: int
    size: int


class TarFiles(ImageFiles):
    """The images in tar archives: one archive, a folder of them, or a pattern.

    Archives are indexed when the names are first needed. A name begins with its archive's name if
    there are several.
    """

    def __init__(self, text: str, skip: bool = False, remedy: str = SKIP_FLAG):
        self.name, self.skip, self.remedy = text, skip, remedy
        self.shards = find_shards(text)
        self.places: dict[str, TarPlace] = {}
        self.labels: dict[str, str] = {}  # by key

    @cached_property
    def listing(self) -> tuple[list[str], list[str]]:
        """The names of the images, sorted, and notes on other files."""
        self.places.clear()
        self.labels.clear()
        others = [name for shard in range(len(self.shards)) for name in self.index_shard(shard)]
        return list_images(self.name, [*self.places, *others], self.skip, self.remedy)

    @property
    def files(self) -> list[str]:  # type: ignore[override]
        return self.listing[0]

    @property
    def notes(self) -> list[str]:  # type: ignore[override]
        return self.listing[1]

    def index_shard(self, shard: int) -> list[str]:
        """Adds the images and labels of a shard; returns the names of its other files."""
        index = load_index(self.shards[shard])
        prefix = f"{self.shards[shard].name}/" if len(self.shards) > 1 else ""
        for name, offset, size in index.images:
            if prefix + name in self.places:
                raise Unreadable(f"{self.name} holds {prefix}{name} twice: rename one of them")
            self.places[prefix + name] = TarPlace(shard, offset, size)
        self.labels |= {prefix + key: sys.intern(label) for key, label in index.labels.items()}
        return [prefix + name for name in index.others]

    def read(self, name: str) -> bytes:
        place = self.places[name]
        if place.size > MAX_FILE_BYTES:
            size = f"{self.name}/{name} has {place.size:,} bytes"
            raise Unreadable(f"{size}: the limit for an image is {MAX_FILE_BYTES:,}")
        return read_part(self.shards[place.shard], place.offset, place.size)

    def open(self, name: str) -> IO[bytes]:
        return io.BytesIO(self.read(name))

    def class_of(self, name: str) -> str | None:
        """Returns the label of an image, or its folder in archives without labels."""
        if self.labels:
            return self.labels.get(sample_key(name))
        return class_of_path(name if len(self.shards) == 1 else name.partition("/")[2])

    def sort_classes(self, names: Iterable[str]) -> list[str]:
        """Returns whole numbers by value, and other names by the alphabet."""
        names = sorted(names)
        is_numeric = bool(self.labels) and all(name.isdecimal() for name in names)
        return sorted(names, key=int) if is_numeric else names

    def iter_stamps(self) -> Iterator[FileStamp]:
        for path in self.shards:
            status = path.stat()
            yield path.name, status.st_size, status.st_mtime_ns


@dataclass(frozen=True)
class TarIndex:
    """The content of an archive: images with offset and size, labels by key, other names."""

    images: list[tuple[str, int, int]]
    labels: dict[str, str]
    others: list[str]


def load_index(path: Path) -> TarIndex:
    """Returns the index of an archive, from the cache if a large archive has not changed."""
    status = path.stat()
    facts = [str(path.absolute()), status.st_size, status.st_mtime_ns]
    cached = cache_root() / INDEX_FOLDER / f"{hash_json(facts, digits=32)}.json"
    try:
        return TarIndex(**read_json_or_none(cached))
    except TypeError:  # no index, or a damaged one
        began = time.monotonic()
        index = make_index(path)
        if time.monotonic() - began > MIN_SECONDS_OF_CACHED_INDEX:
            with suppress(OSError):  # a cache without write access costs time only
                write_bytes(cached, json.dumps(vars(index)).encode())
        return index


def make_index(path: Path) -> TarIndex:
    """Reads the headers of an archive, and its labels; raises Unreadable."""
    index, ranks = TarIndex([], {}, []), dict[str, int]()
    for member in iter_members(path):
        name = member.name.removeprefix("./")
        suffix = PurePosixPath(name).suffix.lower()
        if suffix in IMAGE_SUFFIXES:
            index.images.append((name, member.offset_data, member.size))
        elif suffix in LABEL_SUFFIXES:
            key, rank = sample_key(name), LABEL_SUFFIXES.index(suffix)
            label = read_label(path, suffix, member)
            if label is not None and rank <= ranks.get(key, rank):
                index.labels[key], ranks[key] = label, rank
        else:
            index.others.append(name)
    return index


def read_label(path: Path, suffix: str, member: tarfile.TarInfo) -> str | None:
    """Returns the label in a file of an archive, or None if it holds none."""
    if member.size > MAX_LABEL_BYTES:
        return None
    return parse_label(suffix, read_part(path, member.offset_data, member.size))


def read_part(path: Path, offset: int, size: int) -> bytes:
    """Returns a part of a file; raises Unreadable if the file ends before."""
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        content = file.read(size)
    if len(content) < size:
        raise Unreadable(truncated_sentence(path))
    return content


def is_tar_text(text: str) -> bool:
    """Returns whether a text names an archive, several by a pattern, or a folder of archives."""
    path = expand_home(text)
    if path.is_dir():
        return holds_tars_alone(path)
    return text.lower().endswith(TAR_SUFFIX)


def holds_tars_alone(folder: Path) -> bool:
    """Returns whether a folder has tar archives, and neither images nor folders beside them."""
    has_tars = False
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_hidden_file(entry.name):
                    continue
                suffix = PurePosixPath(entry.name).suffix.lower()
                if suffix in IMAGE_SUFFIXES or entry.is_dir():
                    return False
                has_tars |= suffix == TAR_SUFFIX
    except OSError:
        return False
    return has_tars


def find_shards(text: str) -> list[Path]:
    """Returns the archives of a folder, a pattern such as `train-{000..099}.tar`, or one path.

    Raises Unreadable if one is missing.
    """
    path = expand_home(text)
    if path.is_dir():
        shards = [place for place in path.iterdir() if place.suffix.lower() == TAR_SUFFIX]
        return sorted(place for place in shards if not is_hidden_file(place.name))
    found = [shard for each in expand_range(str(path)) for shard in expand_stars(each)]
    if missing := [shard for shard in found if not shard.is_file()]:
        raise Unreadable(f"there is no archive {missing[0]}")
    return found


def expand_range(text: str) -> list[str]:
    """Returns the texts of a range of numbers: `a-{08..10}` is a-08, a-09 and a-10."""
    form = BRACE_RANGE.search(text)
    if form is None:
        return [text]
    first, last, width = int(form[1]), int(form[2]), len(form[1])
    numbers = (f"{number:0{width}}" for number in range(first, last + 1))
    return [text[: form.start()] + number + text[form.end() :] for number in numbers]


def expand_stars(text: str) -> list[Path]:
    """Returns the files that match `*` in a file name, sorted, or the path itself."""
    path = Path(text)
    if "*" not in path.name:
        return [path]
    return sorted(path.parent.glob(path.name)) or [path]


def iter_members(path: Path) -> Iterator[tarfile.TarInfo]:
    """Yields the visible regular files of an archive.

    Raises Unreadable if the archive is no plain tar, is truncated, or has a damaged header.
    """
    try:
        with tarfile.open(path, "r:", errorlevel=1) as archive:
            while (member := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # it would keep all of them
                check_member_end(path, member)
                if member.isreg() and not is_hidden_member(member.name):
                    yield member
            check_archive_end(path, archive.offset)
    except tarfile.TarError as error:
        raise Unreadable(f"{path} is not a plain tar archive: {error}") from error
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror or error}") from error


def is_hidden_member(name: str) -> bool:
    """Returns whether a part of a name is hidden; `tar -C folder .` begins all with `./`."""
    return any(map(is_hidden_file, name.removeprefix("./").split("/")))


def check_member_end(path: Path, member: tarfile.TarInfo) -> None:
    if member.isreg() and member.offset_data + member.size > path.stat().st_size:
        raise Unreadable(truncated_sentence(path))


def check_archive_end(path: Path, end: int) -> None:
    """Raises Unreadable unless a block of zeros follows the last file."""
    with path.open("rb") as file:
        file.seek(end)
        block = file.read(TAR_BLOCK_BYTES)
    if len(block) < TAR_BLOCK_BYTES:
        raise Unreadable(truncated_sentence(path))
    if block.strip(b"\0"):
        raise Unreadable(f"{path} is damaged: the header at byte {end:,} is invalid")


def truncated_sentence(path: Path) -> str:
    return f"{path} is truncated: copy it again, or unpack it into a folder"


def sample_key(name: str) -> str:
    """Returns the key of a file's sample: its name up to the first dot."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0]


def parse_label(suffix: str, content: bytes) -> str | None:
    """Returns the label in a file, numbers without leading zeros, or None if it holds none."""
    text = content.decode(errors="replace").strip()
    if suffix == ".json":
        text = read_json_label(text)
    if text.isdecimal():
        return str(int(text))
    return None if suffix == ".txt" or not text else text


def read_json_label(text: str) -> str:
    """Returns the label in a JSON object, or an empty text."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(content, dict):
        return ""
    labels = (content.get(key) for key in LABEL_KEYS)
    return next((str(x) for x in labels if isinstance(x, int | str) and x is not True), "")
