"""Captioned folder: a user's images with sentences about them.

A text file beside each image has its captions, one in each line, or `captions.jsonl` names all images:
`{"file": "a.png", "caption": "a red ball"}`. Networks know the words of the training captions, the
10,000 most frequent ones; other words have one common code. An epoch shows each caption once.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import prod
from pathlib import Path, PurePosixPath
from typing import ClassVar

import torch

from ganbench.counts import count_of
from ganbench.files import expand_home

from .base import IMAGE, Data, Examples, NotDownloaded, Split
from .caption_files import CAPTIONS_FILE, TEXT_SUFFIX, ImageCaptions, read_captions
from .captions import Captions
from .image_decoding import Unreadable
from .image_files import FileStamp, FolderFiles, ImageFiles, walk_folder
from .image_ops import check_image_size
from .image_settings import check_channels, check_held_out
from .memory import data_memory_limit
from .pair_examples import PairExamples
from .read_images import ReadImages, content_number, read_squares
from .split_order import share_smallest

MIN_TRAIN_CAPTIONED, MIN_HELD_OUT_CAPTIONED = 8, 2
MAX_IMAGE_SIDE_PIXELS = 1024
MAX_VOCABULARY_WORDS = 10_000
SKIP_REMEDY = "skip_unreadable=true"


@dataclass(frozen=True)
class CaptionedFolder(Data):
    """All images in the folder `path`; labels are the numbers of their different captions.

    The hash of a file's bytes decides whether it is held out. Files with the same bytes, or the same name
    but for the suffix, are on the same side. Images are cropped to central squares.

    Settings: `size` is the side in pixels (8 to 1024), `channels` is 1 or 3, and `held_out` is the share
    of held-out images in (0, 1). `skip_unreadable` leaves out broken files and unsupported formats.
    """

    extractor: ClassVar[str] = "inception"
    neutral: ClassVar[dict[str, object]] = {"skip_unreadable": False}

    path: str
    size: int = 32
    channels: int = 3
    held_out: float = 0.1
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        check_channels(self.channels)
        check_held_out(self.held_out)
        if not self.root_path.is_dir():
            unpack = f"{self.root_path} is no folder: unpack it"
            raise ValueError(
                unpack if self.root_path.exists() else f"there is no folder {self.root_path}"
            )
        shape = (self.channels, check_image_size(self.size, MAX_IMAGE_SIDE_PIXELS), self.size)
        object.__setattr__(self, "shapes", {IMAGE: shape})
        object.__setattr__(self, "classes", len(self.files.sentences))

    @property
    def root_path(self) -> Path:
        return expand_home(self.path)

    @cached_property
    def files(self) -> "CaptionedFiles":
        return open_captioned(self.root_path, self.skip_unreadable)

    @cached_property
    def captions(self) -> Captions:
        held_out = (number < self.held_out for number in self.files.split_numbers)
        names = [name for name, out in zip(self.files.files, held_out, strict=True) if not out]
        return Captions(
            self.files.sentences, vocabulary=make_vocabulary(self.files.captions[n] for n in names)
        )

    def load(self) -> Split:
        files, shape = self.files, self.shapes[IMAGE]
        if len(files.files) * prod(shape) > data_memory_limit():
            raise NotDownloaded(
                f"{count_of(len(files.files), 'image')} in {self.root_path} take more than a quarter of the "
                "memory: choose a smaller size"
            )
        read = read_squares(files, shape, self.skip_unreadable, SKIP_REMEDY)
        number = dict(zip(files.files, files.split_numbers, strict=True))
        order = sorted(
            range(len(read.names)), key=lambda n: (number[read.names[n]], read.numbers[n])
        )
        held_out = [n for n in order if number[read.names[n]] < self.held_out]
        train = order[len(held_out) :]
        return self.make_split(read, train, held_out)

    def make_split(self, read: ReadImages, train: list[int], held_out: list[int]) -> Split:
        """Returns the split; held-out copies of training images are left out."""
        shown = {read.digests[n] for n in train}
        new = [n for n in held_out if read.digests[n] not in shown]
        self.require_counts(len(train), len(new))
        split = Split(
            {IMAGE: self.make_train_examples(read, train)},
            {IMAGE: self.make_examples(read, new)},
            notes=(*read.notes, *notes_on_copies(len(held_out) - len(new))),
        )
        return replace(split, known_fingerprint=self.fingerprint_of(split))

    def make_examples(self, read: ReadImages, chosen: list[int]) -> Examples:
        """Returns images with the first caption of each."""
        first = [self.files.numbers_of(read.names[n])[0] for n in chosen]
        return Examples(read.images[chosen], torch.tensor(first))

    def make_train_examples(self, read: ReadImages, chosen: list[int]) -> Examples:
        """Returns images with all captions of each."""
        own = [self.files.numbers_of(read.names[n]) for n in chosen]
        examples = self.make_examples(read, chosen)
        if all(len(numbers) == 1 for numbers in own):
            return examples
        rows = torch.tensor([row for row, numbers in enumerate(own) for _ in numbers])
        labels = torch.tensor([number for numbers in own for number in numbers])
        return PairExamples(examples.images, examples.labels, rows=rows, pair_labels=labels)

    def fingerprint_of(self, split: Split) -> str:
        """Returns a SHA-256 of images, captions and vocabulary."""
        train = split.train[IMAGE]
        pairs = train.pair_labels.tolist() if isinstance(train, PairExamples) else []
        facts = [split.compute_fingerprint(), self.captions.sentences, self.captions.words, pairs]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def require_counts(self, train: int, held_out: int) -> None:
        if train < MIN_TRAIN_CAPTIONED or held_out < MIN_HELD_OUT_CAPTIONED:
            raise NotDownloaded(
                f"{self.root_path} has {count_of(train + held_out, 'image')}, {held_out} of them held out: add "
                f"images or change held_out, to have at least {MIN_TRAIN_CAPTIONED} for training and "
                f"{MIN_HELD_OUT_CAPTIONED} held out"
            )


def notes_on_copies(count: int) -> list[str]:
    if not count:
        return []
    return [f"{count_of(count, 'held-out image')} left out: training has the same pixels"]


def make_vocabulary(captions: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """Returns the most frequent words of captions, sorted."""
    counts = Counter(word for own in captions for text in own for word in text.split())
    frequent = sorted(counts, key=lambda word: (-counts[word], word))[:MAX_VOCABULARY_WORDS]
    return tuple(sorted(frequent))


class CaptionedFiles(FolderFiles):
    """The images of a folder, with their captions."""

    def __init__(self, root: Path, skip: bool):
        self.path = root
        names = walk_folder(root)
        others = [name for name in names if is_caption_file(name)]
        ImageFiles.__init__(self, str(root), sorted({*names} - {*others}), skip, SKIP_REMEDY)
        self.captions: ImageCaptions = read_captions(root, self.files, others)

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """All different captions, sorted; their numbers are the labels."""
        return tuple(sorted({text for own in self.captions.values() for text in own}))

    @cached_property
    def number_of_sentence(self) -> dict[str, int]:
        return {text: number for number, text in enumerate(self.sentences)}

    def numbers_of(self, name: str) -> list[int]:
        """Returns the numbers of an image's captions."""
        return [self.number_of_sentence[text] for text in self.captions[name]]

    @cached_property
    def split_numbers(self) -> list[float]:
        """The numbers in [0, 1) that decide which images are held out."""
        stems = [str(PurePosixPath(name).with_suffix("")) for name in self.files]
        numbers, before = [self.content_number_of(name) for name in self.files], None
        originals = list(numbers)
        while numbers != before:
            before = numbers
            numbers = share_smallest(share_smallest(numbers, stems), originals)
        return numbers

    def content_number_of(self, name: str) -> float:
        try:
            return content_number(self.read(name))
        except (OSError, Unreadable):
            return 0.0  # reading the images reports it


def is_caption_file(name: str) -> bool:
    return name == CAPTIONS_FILE or name.endswith((TEXT_SUFFIX, ".jsonl", ".json", ".csv"))


def open_captioned(root: Path, skip: bool) -> CaptionedFiles:
    """Opens a folder with its captions, once as long as no file changes; raises ValueError."""
    return open_unchanged(root, skip, tuple(iter_folder_stamps(root)))


@lru_cache(maxsize=4)
def open_unchanged(root: Path, skip: bool, stamps: tuple[FileStamp, ...]) -> CaptionedFiles:
    return CaptionedFiles(root, skip)


def iter_folder_stamps(root: Path) -> Iterable[FileStamp]:
    """Yields the stamps of all files in a folder and below."""
    for name in walk_folder(root):
        try:
            status = (root / name).stat()
        except OSError:
            yield name, -1, 0
            continue
        yield name, status.st_size, status.st_mtime_ns
