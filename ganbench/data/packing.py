"""Packs images: decodes each one once, and sorts them into the order of the data set.

1. Decoding. Threads decode the images by name. Each image is appended to the bucket of its number, which
   is the hash of its file's bytes, and gets a record: its number, the hash of its pixels, a checksum.
   Broken images have a record too, and are tried again by the next conversion.
2. Placing. The final order is that of the numbers, except for copies. So each bucket has a range of
   places, is copied there, and is deleted: beside the result, the disk holds only the other buckets.

A killed conversion continues after its last record. All hashes are checked while images are placed.
"""

import hashlib
import io
import json
import os
import shutil
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import RawIOBase
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from filelock import FileLock, Timeout

from ganbench.counts import count_of, format_bytes
from ganbench.files import (
    CorruptFile,
    parse_json_lines,
    read_json_or_none,
    write_bytes,
    write_json,
)

from .base import NotDownloaded
from .image_decoding import Unreadable, decode_image
from .image_files import ImageFiles
from .image_ops import crop_and_resize
from .mapped_file import Rows
from .packed_images import (
    IMAGES_SUFFIX,
    LABELS_NAME,
    META_NAME,
    NUMBERS_NAME,
    PackedImages,
    PackPlace,
    hash_file_content,
    hash_stamps,
    open_pack,
)
from .read_images import content_number, sentence_of_problems
from .split_order import ImageKeys, split_numbers

BUCKET_BYTES, MAX_BUCKETS = 2**26, 128
BLOCK_BYTES, MAX_BLOCK_IMAGES = 2**26, 256  # that are decoded between two checks of the clock
SECONDS_PER_COMMIT = 5.0  # of work that a killed conversion loses at most
SECONDS_BETWEEN_WAITING_NOTES = SECONDS_BETWEEN_LINES = 20.0
MAX_DECODING_THREADS = 16
RECORD = np.dtype(
    [
        *(("index", "<u8"), ("number", "<f8"), ("digest", "u1", 32)),
        *(("is_broken", "u1"), ("check", "<u4")),
    ]
)
CHECKED_BYTES = RECORD.itemsize - 4  # of a record: all but its checksum
RECORDS_NAME, PROBLEMS_NAME, FACTS_NAME, IMAGES_NAME = (
    *("records.bin", "problems.jsonl"),
    *("facts.json", "images"),
)
MAX_PROBLEMS_STORED = 100

Decoded = tuple[bytes, float, bytes] | str  # pixels, number and digest, or the problem


class PackReport:
    """Prints sentences, and a line of progress now and then, to the error stream."""

    def __init__(self) -> None:
        self.began: dict[str, tuple[float, int]] = {}
        self.printed = time.monotonic()

    def announce(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def show(self, phase: str, done: int, total: int) -> None:
        """Prints the share of a phase that is done, and the time left."""
        now = time.monotonic()
        began, first = self.began.setdefault(phase, (now, done))
        if now - self.printed > SECONDS_BETWEEN_LINES and done > first:
            self.printed = now
            left = (now - began) / (done - first) * (total - done)
            self.announce(f"{phase}: {done:,} of {total:,}, {left / 60:.0f} min left")


def pack_images(
    opened: ImageFiles, shape: tuple[int, ...], skip: bool, remedy: str, report: PackReport
) -> PackedImages:
    """Returns the pack of a source; decodes its images if there is none, or goes on to.

    Processes that pack the same source wait for each other. Raises NotDownloaded if the disk is too
    small, or for broken images without `skip`.
    """
    place = PackPlace.of(opened, shape)
    with naming_full_disk(place), waiting_lock(place, report):
        try:
            packed = open_pack(place.folder)
        except CorruptFile as error:
            report.announce(f"{error.args[0].partition(': delete')[0]}: packing again")
            shutil.rmtree(place.folder)
            packed = None
        if packed is None:
            Packer(opened, place, report).run(skip, remedy)
            packed = open_pack(place.folder)
            remove_outdated(place)
    assert packed is not None
    return packed


@contextmanager
def waiting_lock(place: PackPlace, report: PackReport) -> Iterator[None]:
    """Holds the lock of a pack, which the system frees when its process ends."""
    place.folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place.folder.with_name(f"{place.folder.name}.lock"))
    while not lock.is_locked:
        try:
            lock.acquire(timeout=SECONDS_BETWEEN_WAITING_NOTES)
        except Timeout:
            report.announce(f"{place.source}: waiting for another process that packs it")
    try:
        yield
    finally:
        lock.release()


@contextmanager
def naming_full_disk(place: PackPlace) -> Iterator[None]:
    """Raises NotDownloaded for an error of the disk during a conversion."""
    try:
        yield
    except OSError as error:
        raise NotDownloaded(
            f"{place.source} could not be packed in {place.folder.parent}: {error.strerror or error}. "
            "Make room, or set GANBENCH_CACHE to another disk; finished work is kept"
        ) from error


def remove_outdated(place: PackPlace) -> None:
    """Deletes the packs of earlier versions of a source."""
    for folder in place.outdated():
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)


class Packer:
    """A conversion in its partial folder, which another process may have begun."""

    def __init__(self, opened: ImageFiles, place: PackPlace, report: PackReport):
        self.opened, self.place, self.report = opened, place, report
        self.folder, self.shape = place.partial, place.shape
        self.row_bytes = prod(self.shape)
        self.count = len(opened.files)
        self.buckets = count_buckets(self.count * self.row_bytes)
        self.records = np.zeros(0, RECORD)
        self.pending: list[tuple[Decoded, int]] = []  # decoded since the last commit
        self.committed = time.monotonic()

    def run(self, skip: bool, remedy: str) -> None:
        self.folder.mkdir(exist_ok=True)
        self.require_same_decoder()
        self.resume()
        self.require_disk()
        self.decode_rest()
        problems = self.read_problems()
        if problems and not skip:
            raise NotDownloaded(sentence_of_problems(problems, self.count, remedy))
        if hash_stamps(self.opened) != self.place.files:
            raise NotDownloaded(
                f"{self.place.source} changed while it was packed: repeat the command"
            )
        self.place_images(problems)

    # Resuming

    def require_same_decoder(self) -> None:
        """Starts over if another version of Pillow decoded the first images."""
        facts = {"pillow": PIL.__version__, "buckets": self.buckets}
        known = read_json_or_none(self.folder / FACTS_NAME)
        if known is not None and known != facts:
            self.report.announce(f"{self.place.source}: Pillow has changed, so packing starts over")
            shutil.rmtree(self.folder)
            self.folder.mkdir()
        write_json(self.folder / FACTS_NAME, facts)

    def resume(self) -> None:
        """Reads the records of an earlier conversion, and cuts its files to them."""
        self.records = read_records(self.folder / RECORDS_NAME)
        if self.has_begun_placing:
            return  # buckets are missing once their images are placed
        sizes = self.bucket_counts() * self.row_bytes
        if any(size_of(self.bucket_path(b)) < size for b, size in enumerate(sizes)):
            self.records, sizes = self.records[:0], sizes * 0  # the system crashed while it wrote
        cut_file(self.folder / RECORDS_NAME, self.records.nbytes)
        for bucket, size in enumerate(sizes):
            cut_file(self.bucket_path(bucket), int(size))

    @property
    def has_begun_placing(self) -> bool:
        return (self.folder / IMAGES_NAME).exists() or bool(self.finished_images())

    def finished_images(self) -> list[Path]:
        """Returns the file of all placed images, if it has its final name already."""
        return list(self.folder.glob(f"*{IMAGES_SUFFIX}"))

    @property
    def good_records(self) -> Rows:
        """The records of images that could be decoded, in the order of decoding."""
        return self.records[self.records["is_broken"] == 0]

    def bucket_path(self, bucket: int) -> Path:
        return self.folder / f"bucket-{bucket:03}"

    def bucket_of(self, number: float) -> int:
        return int(number * self.buckets)

    def bucket_counts(self) -> Rows:
        """Returns the number of images in each bucket."""
        places = (self.good_records["number"] * self.buckets).astype(np.int64)
        return np.bincount(places, minlength=self.buckets)

    def require_disk(self) -> None:
        """Announces the needed disk space; raises NotDownloaded if there is less."""
        size = self.count * self.row_bytes
        needed = size + BUCKET_BYTES * 2 + self.count * RECORD.itemsize
        used = sum(path.stat().st_size for path in self.folder.iterdir())
        free = shutil.disk_usage(self.folder).free
        done = f", {len(self.good_records):,} are done" if len(self.records) else ""
        text = (
            f"{self.place.source}: packing {count_of(self.count, 'image')} as "
            f"{'x'.join(map(str, self.shape))}{done}. This takes {format_bytes(size)} in "
            f"{self.folder.parent}, where {format_bytes(free)} are free"
        )
        if needed - used > free:
            raise NotDownloaded(f"{text}: make room, or set GANBENCH_CACHE to another disk")
        self.report.announce(text)

    # Decoding

    def decode_rest(self) -> None:
        """Decodes the images without a good record, in threads and in the order of names."""
        if self.has_begun_placing:
            return
        size = max(1, min(MAX_BLOCK_IMAGES, BLOCK_BYTES // self.row_bytes))
        names, missing = self.opened.files, self.missing_images()
        with ThreadPoolExecutor(count_decoding_threads(), "ganbench-decoding") as threads:
            for start in range(0, len(missing), size):
                block = missing[start : start + size]
                decoded = threads.map(self.decode, [names[index] for index in block])
                self.pending += zip(decoded, block, strict=True)
                self.commit_now_and_then()
                done = self.count - len(missing) + start + len(block)
                self.report.show("decoding", done, self.count)
        self.commit()

    def missing_images(self) -> list[int]:
        """Returns the indices of images without a good record, ascending."""
        is_missing = np.ones(self.count, bool)
        is_missing[self.good_records["index"].astype(np.int64)] = False
        return np.flatnonzero(is_missing).tolist()

    def decode(self, name: str) -> Decoded:
        """Returns pixels, number and digest of an image, or the sentence of its problem."""
        path = f"{self.opened.name}/{name}"
        try:
            content = self.opened.read(name)
            image = decode_image(path, content).image
        except OSError as error:
            return f"{path} cannot be read: {error.strerror}"
        except Unreadable as error:
            return str(error)
        pixels = crop_and_resize(image, *self.shape[:2]).contiguous().numpy().tobytes()
        return pixels, content_number(content), hashlib.sha256(pixels).digest()

    def commit_now_and_then(self) -> None:
        bytes_pending = len(self.pending) * self.row_bytes
        if time.monotonic() - self.committed > SECONDS_PER_COMMIT or bytes_pending > BLOCK_BYTES:
            self.commit()

    def commit(self) -> None:
        """Writes pending images, then their records: an image with a record is on the disk."""
        self.append_images()
        problems = [
            json.dumps({"index": index, "problem": decoded}) + "\n"
            for decoded, index in self.pending
            if isinstance(decoded, str)
        ]
        append_synced(self.folder / PROBLEMS_NAME, "".join(problems).encode())
        records = make_records(self.pending)
        append_synced(self.folder / RECORDS_NAME, records.tobytes())
        self.records = np.concatenate([self.records, records])
        self.pending, self.committed = [], time.monotonic()

    def append_images(self) -> None:
        by_bucket: dict[int, list[bytes]] = {}
        for decoded, _ in self.pending:
            if not isinstance(decoded, str):
                by_bucket.setdefault(self.bucket_of(decoded[1]), []).append(decoded[0])
        for bucket, rows in by_bucket.items():
            append_synced(self.bucket_path(bucket), b"".join(rows))

    def read_problems(self) -> list[str]:
        """Returns the sentences on broken images, in the order of names."""
        path = self.folder / PROBLEMS_NAME
        lines = parse_json_lines(path.read_bytes()) if path.exists() else []
        by_index = {line["index"]: line["problem"] for line in lines}
        return [by_index[index] for index in self.missing_images()]

    # Placing

    def place_images(self, problems: list[str]) -> None:
        """Copies all buckets to their places, writes the other files, and finishes the pack."""
        records = self.good_records
        by_name = np.argsort(records["index"])
        names = [self.opened.files[index] for index in records["index"][by_name].tolist()]
        order, numbers = sort_images(names, records[by_name])
        places = np.empty_like(order)
        places[by_name[order]] = np.arange(len(order))
        images = self.folder / IMAGES_NAME
        for finished in self.finished_images():
            os.replace(finished, images)
        with open(images, "r+b" if images.exists() else "w+b", buffering=0) as file:
            for bucket in range(self.buckets):
                self.place_bucket(bucket, records, places, file)
                done = len(order) * (bucket + 1) // self.buckets
                self.report.show("sorting", done, len(order))
        self.finish([names[n] for n in order], numbers, problems)

    def place_bucket(self, bucket: int, records: Rows, places: Rows, target: RawIOBase) -> None:
        """Copies the images of a bucket to their places and deletes it, unless that is done."""
        path = self.bucket_path(bucket)
        if not path.exists():
            return
        own = np.flatnonzero((records["number"] * self.buckets).astype(np.int64) == bucket)
        with path.open("rb") as file:
            for index in own:
                row = file.read(self.row_bytes)
                if hashlib.sha256(row).digest() != records["digest"][index].tobytes():
                    self.start_over(path)
                write_at(target, row, int(places[index]) * self.row_bytes)
        os.fsync(target.fileno())
        path.unlink()

    def start_over(self, path: Path) -> None:
        """Deletes the conversion, and raises NotDownloaded: images have changed on the disk."""
        shutil.rmtree(self.folder)
        raise NotDownloaded(
            f"{path} was damaged on the disk: repeat the command, which packs again"
        )

    def finish(self, names: list[str], numbers: Rows, problems: list[str]) -> None:
        """Writes labels, numbers and hashes, then moves the pack to its name."""
        if size_of(self.folder / IMAGES_NAME) != len(names) * self.row_bytes:
            self.start_over(self.folder / IMAGES_NAME)
        classes, labels, stray = label_images(self.opened, names)
        content = hash_file_content(self.folder / IMAGES_NAME)
        os.replace(self.folder / IMAGES_NAME, images := self.folder / f"{content}{IMAGES_SUFFIX}")
        arrays = {NUMBERS_NAME: numbers, LABELS_NAME: labels}
        for name, array in arrays.items():
            write_bytes(self.folder / name, array_bytes(array))
        meta: dict[str, Any] = {
            "source": self.place.source,
            "shape": list(self.shape),
            "content": content,
            "time": images.stat().st_mtime_ns,
            "arrays": {name: hash_file_content(self.folder / name) for name in arrays},
            "classes": classes,
            "stray": stray,
            "problems": problems[:MAX_PROBLEMS_STORED],
            "broken": len(problems),
            "files": self.count,
            "notes": self.opened.notes,
            "pillow": PIL.__version__,
        }
        write_json(self.folder / META_NAME, meta)
        os.replace(self.folder, self.place.folder)
        for name in (RECORDS_NAME, PROBLEMS_NAME, FACTS_NAME):
            (self.place.folder / name).unlink(missing_ok=True)


def count_buckets(size: int) -> int:
    return max(1, min(MAX_BUCKETS, -(-size // BUCKET_BYTES)))


def count_decoding_threads() -> int:
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(MAX_DECODING_THREADS, cpus or 1)


def sort_images(names: list[str], records: Rows) -> tuple[Rows, Rows]:
    """Returns the order of the data set [N], and the ascending numbers that decide the split."""
    digests = [digest.tobytes() for digest in records["digest"]]
    keys = ImageKeys(names, records["number"].tolist(), digests)
    numbers = np.array(split_numbers(keys), np.float64)
    order = np.lexsort((records["number"], numbers))
    return order, numbers[order]


def make_records(decoded: Sequence[tuple[Decoded, int]]) -> Rows:
    """Returns the records of decoded images and their indices, with checksums."""
    records = np.zeros(len(decoded), RECORD)
    for record, (content, index) in zip(records, decoded, strict=True):
        record["index"] = index
        if isinstance(content, str):
            record["is_broken"] = 1
        else:
            record["number"] = content[1]
            record["digest"] = np.frombuffer(content[2], np.uint8)
        record["check"] = zlib.crc32(record.tobytes()[:CHECKED_BYTES])
    return records


def array_bytes(array: Rows) -> bytes:
    """Returns the content of an .npy file."""
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    return content.getvalue()


def read_records(path: Path) -> Rows:
    """Returns the records in a file up to the first torn one."""
    content = path.read_bytes() if path.exists() else b""
    records = np.zeros(len(content) // RECORD.itemsize, RECORD)
    records.view(np.uint8)[:] = np.frombuffer(content, np.uint8)[: records.nbytes]
    for number, record in enumerate(records):
        if zlib.crc32(record.tobytes()[:CHECKED_BYTES]) != record["check"]:
            return records[:number]
    return records


def label_images(opened: ImageFiles, names: list[str]) -> tuple[list[str], Rows, str]:
    """Returns the classes, the label of each image or -1, and the first image without a class."""
    own = [opened.class_of(name) for name in names]
    classes = opened.sort_classes({name for name in own if name is not None})
    numbers = {name: number for number, name in enumerate(classes)}
    labels = np.array([-1 if each is None else numbers[each] for each in own], np.int64)
    stray = next((name for name, each in zip(names, own, strict=True) if each is None), "")
    return classes, labels, stray


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def cut_file(path: Path, size: int) -> None:
    if path.exists():
        os.truncate(path, size)


def append_synced(path: Path, content: bytes) -> None:
    """Appends bytes to a file and waits until they are on the disk."""
    if content:
        with path.open("ab") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def write_at(file: RawIOBase, content: bytes, offset: int) -> None:
    """Writes bytes at a place of a file; raises OSError unless all are written."""
    file.seek(offset)
    while content:
        content = content[file.write(content) or 0 :]
